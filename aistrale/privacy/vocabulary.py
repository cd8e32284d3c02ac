"""Words that tell what stands beside them (titles, streets, legal forms, cues), and capitalised ones that are no names.

Written for this project, from general knowledge of the languages; the long lists of names are in `lexicon`.
"""

# ruff: noqa: RUF001 - the words of other languages are written in their letters
from __future__ import annotations

from typing import Final


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


TITLES: Final = _set(
    "Mr Mrs Ms Mx Dr Prof Professor Rev Reverend Mme Mlle Monsieur Madame Herr Frau Señor Señora Señorita Sra Srta "
    "Doña Signor Signora Sig Dott Lt Sgt Capt Cmdr Cpl Hr Smt Shri Meneer Mevrouw Herrn Frl"
)
"""Before a name; a full stop may follow."""

WEAK_TITLES: Final = _set(
    "Miss Sir Dame Lady Lord Madam Captain Lieutenant Sergeant Major Colonel Col General Judge Justice Senator Sen "
    "Congressman Congresswoman President Governor Mayor Minister Chancellor Pastor Rabbi Imam Sheikh Father Brother "
    "Sister Uncle Aunt Auntie Grandma Grandpa Hon Officer Detective Inspector Nurse Coach King Queen Prince Princess "
    "Pope Saint Don Dom Fru Pan Pani Sri Kumari Doctor Actor Actress Singer Director Chairman Chairwoman Secretary "
    "Ambassador Archbishop Bishop Cardinal Emperor Empress Duke Duchess Count Countess Baron"
)
"""Before a name as well, but ordinary words too."""

GENERATIONS: Final = _set("Jr Sr II III IV Esq PhD MD DDS")

PARTICLES: Final = _set(
    "van von de der den del della di da dos das du la le los les el al bin ibn ben ter ten zu af av och y e vom zur"
)

FUNCTION_WORDS: Final = _set(
    "Hello Hi Hey Dear Thanks Thank Yes No Oh Ah Wow Lol Omg A I The An And Or But If In On At By For From With "
    "Without To Of As Is Are Was Were Be Been Am It Its This That These Those He She We You They His Her Our Your "
    "Their My Me Him Them Us Who What When Where Why How Which While Whose Whom Not Nor So Than Then There Here Now "
    "Some Any All Each Every Both Few Many More Most Other Another Such Only Also Too Very Just Can Could Should "
    "Would Shall Must Might Has Have Had Do Does Did Done Let See Use Using Used After Before During Since Until "
    "Because Although Though However Therefore Between About Above Below Under Over Into Onto Out Up Down Off Again "
    "Once One Two Three Four Five Six Seven Eight Nine Ten First Second Third Last Next New Old Get Got Go Went Come "
    "Came Make Made Take Took Give Gave Say Said Tell Told Ask Asked Know Knew Think Thought Want Need Try Call "
    "Called Please Sorry Ok Okay Well Unlike Like Even Ever Never Always Often Maybe Perhaps Either Neither Whether "
    "Per Via Against Among Within Upon Toward Towards Across Along Behind Beyond Near Despite Except"
)
"""Ordinary words of a sentence; with a capital they begin one."""

STREET_SUFFIXES: Final = _set(
    "Street St Str Road Rd Avenue Ave Av Lane Ln Drive Dr Boulevard Blvd Court Ct Place Pl Square Sq Terrace Ter Tce "
    "Way Close Crescent Cres Parade Pde Highway Hwy Parkway Pkwy Circle Cir Trail Trl Alley Row Mews Grove Gardens "
    "Gdns Walk Quay Wharf Turnpike Pike Plaza Expressway Freeway Route Loop Path Crossing Crossroad Crossroads Ridge "
    "Heights Hill Hills Park Parks Point Points Squares Streets Roads Drives Courts Lanes Avenues Villages Village "
    "Estate Estates Green Gate Gateway Bypass Common Commons Causeway Junction Junctions Landing Manor Manors Meadow "
    "Meadows Mill Mills Motorway Mount Mountain Mountains Orchard Overpass Passage Pass Pine Pines Plain Plains Port "
    "Ports Prairie Ramp Rapid Rapids Rest River Run Shoal Shoals Shore Shores Skyway Spring Springs Spur Spurs "
    "Station Stravenue Stream Summit Throughway Trace Track Trafficway Tunnel Underpass Union Unions Valley Valleys "
    "Viaduct View Views Ville Vista Walks Wall Ways Well Wells Harbor Harbors Haven Hollow Inlet Island Islands Isle "
    "Key Keys Knoll Knolls Lake Lakes Light Lights Lock Locks Lodge Lodges Forest Forge Forges Fork Forks Fort Fall "
    "Falls Ferry Field Fields Flat Flats Ford Fords Extension Extensions Divide Dam Dale Curve Creek Cove Coves "
    "Corner Corners Cliff Cliffs Center Centers Centre Cape Camp Canyon Burg Burgs Brook Brooks Branch Bridge Bottom "
    "Bluff Bluffs Beach Bayou Arcade Annex Esplanade Promenade Strand Rise Reach Retreat Boardwalk Concourse Circuit "
    "Cct Grange Croft Vale Garth Wynd Brae Yard Yards Utca Út Tér Cadde Caddesi Sokak Sokağı Sk Cad Bulvarı Ulica "
    "Ulice Náměstí Nagar Marg Salai Chowk Bagh Jie Lu Dori Gil"
)
"""The last word of a street's name, with the number before it; the rarer ones are those of Faker and of the US post."""

STREET_PREFIXES: Final = _set(
    "Rue Avenue Av Ave Boulevard Bd Blvd Place Pl Chemin Ch Allée Allee Impasse Quai Cours Route Rte Square Passage "
    "Cité Cite Faubourg Via Viale Vle Piazza Piazzale Corso Vicolo Largo Strada Contrada Borgo Salita Località "
    "Lungomare Lungotevere Calata Calle Avenida Avda Plaza Plza Paseo Camino Carrera Cra Cr Kr Cl Callejón Ronda "
    "Travesía Glorieta Carretera Ctra Rambla Rúa Rua Travessa Praça Praca Alameda Estrada Rodovia Beco Ladeira "
    "Praceta Jalan Jl Jln Lorong Persiaran Ul Ulica Aleja Aleje Trg Cesta Ulice Náměstí Calea Bulevardul Aleea "
    "Intrarea Piața Soseaua Șoseaua Rruga Οδός Λεωφόρος Λεωφ Πλατεία Улица Ул Проспект Просп Переулок Пер Площадь Пл "
    "Бульвар Бул Шоссе Вулиця Вул Straße Strasse Zum Zur Sharia Shari Đường Duong Ngõ Carrer Plaça Passeig Avinguda "
    "Barrio Sitio Barangay Brgy"
)
"""The first word of a street's name, with the number after it, or before it."""

STREET_ENDINGS: Final = (
    "straße", "strasse", "str.", "weg", "gasse", "platz", "allee", "ring", "damm", "ufer", "steig", "pfad", "brücke",
    "straat", "laan", "plein", "gracht", "kade", "singel", "dreef", "hof", "hove", "markt", "vej", "gade", "stræde",
    "gata", "gatan", "gaten", "vägen", "vegen", "veien", "veg", "vei", "gränd", "backen", "allén", "katu", "kuja",
    "polku", "tori", "kaari", "rinne", "tie", "braut", "stígur", "vegur", "götu", "stræti", "torg", "utca", "körút",
    "ulice", "tunet", "bakken", "lia", "haugen", "svingen", "stien",
)  # fmt: skip
"""How the one word ends that is a street's name in the Germanic, Nordic and Finnic languages."""

STREET_LOWER: Final = _set(
    "street st road rd avenue ave lane ln drive dr boulevard blvd court ct place pl square terrace way close crescent "
    "highway hwy parkway pkwy circle trail row mews grove gardens walk turnpike plaza gate tee tn mnt pst maantee "
    "puiestee utca u út útja tér köz körút sétány sor park gade vej gata plads plass vei veg alle allé sokak sok cad "
    "caddesi mah bulvarı str straße weg"
)

UNITS: Final = _set(
    "Apt Apartment Appt Suite Ste Unit Room Rm Floor Fl Flat Bldg Building Lot Piso Wohnung Etage Esc Depto"
)

LEGAL_FORMS: Final = _set(
    "Inc Incorporated LLC Llc LLP LP Ltd Limited Corp Corporation PLC Plc GmbH AG KG OHG KGaA mbH UG SE eG SA SAS "
    "SARL SASU EURL SCI SpA SRL Srl SNC BV NV VOF CV AB HB AS ASA ApS Oy Oyj OÜ UAB SIA AD EOOD OOD ZRT Zrt Kft KFT "
    "Nyrt sro doo DOO Pty Pte Bhd Sdn SL SLU SCL Lda LTDA Ltda EIRELI Cía OOO ООО ОАО ЗАО PAO JSC OJSC PJSC KK Tbk "
    "NGO"
)
"""After a company's name: enough to tell it."""

ORG_NOUNS: Final = _set(
    "University College Hospital Clinic Bank Institute Foundation Association Federation Ministry Society Corporation "
    "Company Airlines Airways Insurance Holdings Industries Pharmaceuticals Technologies Partners Associates "
    "Consulting Ventures Committee Council Commission Agency Bureau Authority Church Museum Academy Orchestra "
    "Philharmonic Laboratories Labs Motors Records Studios Entertainment Productions Software Solutions Brothers Bros "
    "Credit Cooperative Enterprises Movers Analytics Securities Logistics Telecom Communications Investments "
    "Universität Klinikum Krankenhaus Sparkasse Banque Banco Banca Hôpital Université Universidad Universidade "
    "Università Ospedale Gesellschaft Verlag Stiftung Verein Systems Group Newspaper Herald Tribune Gazette "
    "Broadcasting Press FC United Athletic Party Congress Senate Parliament Club League"
)
"""The last word of an organisation's name; counts with a word before it that is no ordinary one."""

ORG_OF: Final = _set(
    "University Bank College Institute Ministry Department Church Museum Academy Bureau Society Federation Republic "
    "School House Board"
)
"""`X of Y` is an organisation."""

NATIONS: Final = _set(
    "Afghan Albanian Algerian American Andorran Angolan Argentine Argentinian Armenian Australian Austrian "
    "Azerbaijani Bahamian Bahraini Bangladeshi Barbadian Belarusian Belgian Belizean Beninese Bhutanese Bolivian "
    "Bosnian Brazilian British Briton Bruneian Bulgarian Burmese Burundian Cambodian Cameroonian Canadian Chadian "
    "Chilean Chinese Colombian Congolese Croatian Croat Cuban Cypriot Czech Dane Danish Dominican Dutch Ecuadorian "
    "Ecuadorean Egyptian Emirati English Englishman Eritrean Estonian Ethiopian Fijian Filipino Finn Finnish French "
    "Frenchman Gabonese Gambian Georgian German Ghanaian Greek Greenlander Grenadian Guatemalan Guinean Guyanese "
    "Haitian Honduran Hungarian Icelander Icelandic Indian Indonesian Iranian Iraqi Irish Irishman Israeli Italian "
    "Ivorian Jamaican Japanese Jordanian Kazakh Kenyan Korean Kuwaiti Kyrgyz Laotian Latvian Lebanese Liberian Libyan "
    "Lithuanian Luxembourger Macedonian Malagasy Malawian Malaysian Maldivian Malian Maltese Mauritanian Mauritian "
    "Mexican Moldovan Mongolian Montenegrin Moroccan Mozambican Namibian Nepalese Nepali Nicaraguan Nigerian Nigerien "
    "Norwegian Omani Pakistani Palestinian Panamanian Paraguayan Peruvian Polish Portuguese Qatari Romanian Russian "
    "Rwandan Salvadoran Samoan Saudi Scot Scottish Senegalese Serb Serbian Singaporean Slovak Slovakian Slovene "
    "Slovenian Somali Spaniard Spanish Sudanese Surinamese Swede Swedish Swiss Syrian Taiwanese Tajik Tanzanian Thai "
    "Togolese Tongan Tunisian Turk Turkish Turkmen Ugandan Ukrainian Uruguayan Uzbek Venezuelan Vietnamese Welsh "
    "Welshman Yemeni Zambian Zimbabwean Catholic Protestant Muslim Jewish Hindu Buddhist Sikh Mormon Lutheran "
    "Anglican Shia Shiite Sunni Catholics Protestants Muslims Jews Hindus Buddhists Sikhs Kurdish Kurd Basque Catalan "
    "Tamil Uyghur Roma Romani"
)
"""Peoples and faiths."""

NO_NAMES: Final = _set(
    "January February March April May June July August September October November December Jan Feb Mar Apr Jun Jul "
    "Aug Sep Sept Oct Nov Dec Monday Tuesday Wednesday Thursday Friday Saturday Sunday Mon Tue Tues Wed Thu Thur "
    "Thurs Fri Sat Sun Christmas Easter God Internet Web Unicode Linux Unix Windows Python Java Django Flask Docker "
    "Kubernetes Apache Ruby Perl Rust Swift Kotlin Scala Julia Julian Gregorian Haskell Erlang Elixir Crystal Pascal "
    "Ada Fortran Cobol Basic Bash Node React Angular Vue Svelte Ember Jenkins Travis Jira Git Github Gitlab Google "
    "Amazon Microsoft Oracle Intel Adobe Cisco Nvidia Mozilla Firefox Chrome Safari Android Ubuntu Debian Fedora "
    "Alpine Jupyter Anaconda Pandas Numpy Keras Torch Spark Kafka Hadoop Cassandra Mongo Redis Maven Gradle Ansible "
    "Puppet Chef Vagrant Claude Gemini Llama Mistral Alexa Siri Cortana Watson Bard Copilot Kerberos Laplace "
    "Bernoulli Poisson Gauss Gaussian Fourier Euler Bessel Hermite Legendre Chebyshev Cauchy Riemann Hilbert Turing "
    "Church Bayes Markov Monte Carlo Boole Boolean Fibonacci Huffman Dijkstra Hamming Levenshtein Ratcliff Mersenne "
    "Karatsuba Tk Tkinter Markdown Sphinx Pytest Celery Bottle Sanic Tornado Twisted Zip Lib Sys Arg Args Bool Int "
    "Str Dict Len Func Param Ret Ok Todo Fixme Note Abc Foo Bar Baz Qux Lorem Ipsum Alice Bob Fred Wilma Barney "
    "English Latin Cyrillic Greek Arabic Hebrew Braille Olympic Nobel Pulitzer Grammy Oscar Emmy Roman Christ Jesus "
    "Bible Quran Torah Thanksgiving Halloween Ramadan Hanukkah Diwali Facebook Twitter Instagram Youtube Netflix "
    "Spotify Reddit Tesla Toyota Honda Ford Boeing Lex Yacc Meta Dow Nasdaq"
)
"""Capitalised, and no name alone: the calendar, programs and firms, what is called after a person, greetings."""

STATES: Final = _set(
    "AL AK AZ AR CA CO CT DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NC ND NE NH NJ NM NV NY OH OK OR "
    "PA RI SC SD TN TX UT VA VT WA WI WV WY DC PR AB BC MB NB NL NS NT NU ON PE QC SK YT NSW VIC QLD TAS ACT"
)
"""Abbreviated states and provinces, after a city and a comma."""

MORE_REGIONS: Final = (
    "England", "Scotland", "Wales", "Northern Ireland", "UK", "USA", "US", "U.S.", "U.K.", "UAE", "Britain",
    "Great Britain", "Czech Republic", "Europe", "Asia", "Africa", "Antarctica", "Oceania", "Latin America",
    "North America", "South America", "Central America", "Middle East", "America", "Korea", "Russia", "Burma",
    "Holland", "Bavaria", "Saxony", "Catalonia", "Andalusia", "Tuscany", "Lombardy", "Sicily", "Sardinia", "Normandy",
    "Brittany", "Provence", "Scandinavia", "Siberia", "Crimea", "Kurdistan", "Quebec", "Ontario", "Alberta",
    "Manitoba", "Nova Scotia", "British Columbia", "Saskatchewan", "New Brunswick", "Newfoundland", "Yukon",
    "Queensland", "New South Wales", "Tasmania", "South Australia", "Western Australia", "Punjab", "Gujarat", "Kerala",
    "Karnataka", "Maharashtra", "Tamil Nadu", "Yorkshire", "Cornwall", "Kent", "Sussex", "Essex", "Ivory Coast",
    "Cape Verde", "East Timor", "Macedonia", "Swaziland", "Soviet Union", "Yugoslavia", "Czechoslovakia", "Persia",
    "Prussia", "Upper Austria", "Lower Austria", "Tyrol", "Styria", "Carinthia", "Balkans", "Caribbean",
    "Mediterranean", "Atlantic", "Pacific", "Manhattan", "Brooklyn", "Hollywood", "Deutschland", "Österreich",
    "Schweiz", "España", "Italia", "Brasil", "Nederland", "België", "Danmark", "Norge", "Sverige", "Suomi", "Polska",
    "Türkiye", "México", "Россия", "Ελλάδα", "Κύπρος",
)  # fmt: skip
"""Countries, states and regions as people call them beside their official names."""

PERSON_BEFORE: Final = _set(
    "dear hi hello hey regards sincerely cheers signed named called attn attention c/o contact mother father sister "
    "brother wife husband son daughter uncle aunt cousin friend colleague boss manager patient client customer "
    "employee applicant candidate tenant name surname firstname lastname recipient sender author authors founder "
    "founders ceo president senator actor actress singer starring by director kid kids boyfriend girlfriend fiancé "
    "fiancée neighbor neighbour teacher user calls nurse doctor witness defendant plaintiff beneficiary cc naam nom "
    "nombre vorname nachname nome imię"
)
"""Who is named after it is a person, though the name says little: the word before, without its punctuation."""

PERSON_AFTER_STRONG: Final = _set(
    "said says wrote asked replied told lives lived emailed joked shouted explained argued thinks thought believes "
    "married smiled laughed nodded whispered answered admitted submitted"
)
"""Who does this is a person."""

PLACE_BEFORE: Final = _set(
    "in from to at near visit visiting visited city town village capital via leaving around outside downtown across "
    "throughout of between toward towards into through beyond northern southern eastern western central"
)
"""What is named after it may be a place."""

PLACE_HEADS: Final = _set(
    "Lake Mount Mt Fort Ft Port Cape River Saint St San Santa Sankt Los Las El New North South East West Upper Lower "
    "Bay Camp Point Isle Rio Villa Puerto Ciudad Bad Monte Mont Val Isla Playa Ras Tel Nova Sint Sveti Colonia Hotel "
    "Operation Hurricane Typhoon Tropical Project"
)
"""Before a name they make it that of a place, or of a thing."""

STREET_LOWER_PREFIXES: Final = _set(
    "rue avenue av boulevard bd place chemin allée impasse quai cours route via viale piazza corso vicolo largo "
    "strada calle avenida avda plaza paseo camino carrera ronda rua travessa praça alameda estrada ul ulica al aleja "
    "pl os trg cesta ulice náměstí ул улица пр проспект jalan jl c"
)
"""Before a street's name in small letters."""
