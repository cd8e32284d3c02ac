"""Days and hours whose spend is out of the ordinary, and who made them so."""
