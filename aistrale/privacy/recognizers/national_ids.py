"""National ids, tax numbers, passports, licences, plates, postcodes: the tables of all regions, one recognizer."""

from __future__ import annotations

from aistrale.privacy.recognizers import (
    ids_americas,
    ids_asia,
    ids_europe_east,
    ids_europe_north,
    ids_europe_south,
    ids_europe_west,
    ids_middle_east_africa,
    licences,
    passports,
    plates,
    postcodes,
)
from aistrale.privacy.recognizers._national import NationalIds

RECOGNIZERS = (
    NationalIds(
        (
            *ids_americas.KINDS,
            *ids_asia.KINDS,
            *ids_europe_east.KINDS,
            *ids_europe_north.KINDS,
            *ids_europe_south.KINDS,
            *ids_europe_west.KINDS,
            *ids_middle_east_africa.KINDS,
            *licences.KINDS,
            *passports.KINDS,
            *plates.KINDS,
            *postcodes.KINDS,
        )
    ),
)
