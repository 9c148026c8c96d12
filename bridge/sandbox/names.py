"""Words for the names of the sandbox's people, companies and loan products. All are invented.

``seeded_records.py`` combines them. The Australian regulator sets the telephone numbers aside for fiction
(ACMA, "Phone numbers for use in TV shows, films and creative works"). RFC 2606 reserves the e-mail domains.
"""

# ruff: noqa: SIM905 - a text of words is easier to read and to extend than a list of quoted words

from __future__ import annotations

FIRST_NAMES = tuple(
    """Ada Aisha Alan Alba Amara Amir Anh Anika Arlo Asha Astrid Bao Beatrix Bela Bodhi Bram Brigid Caleb
    Callum Camila Cedric Chiara Cora Cyrus Dalia Dara Darius Delphine Dev Dinh Dora Edith Eko Elena Elias
    Elowen Emeka Enid Esme Ewan Farah Felix Fern Finn Flora Freya Gareth Gemma Giles Greta Hamish Hana
    Harriet Hassan Hazel Henrik Hugo Ida Ilse Imran Indira Iris Isla Ivo Jana Jarrah Jasper Joan Jonas
    Juno Kai Kamal Keiko Kiri Lachlan Laila Lars Leila Linh Lorcan Lucia Magnus Maia Malik Mara Marlon
    Mei Mila Mina Nadia Naveen Nell Niamh Nils Noor Odette Olive Omar Orla Oscar Otis Pavel Petra Priya
    Quentin Rafi Ravi Remy Rhys Rosa Ruby Sana Selim Seren Silas Sofia Stellan Suki Tamsin Tariq Thea
    Tilda Tobias Uma Una Vera Viggo Wren Xanthe Yara Yusuf Zara Zeno""".split()
)
ACCENTED_NAMES = ("Zoë", "Renée", "José", "Chloé", "Åsa", "Björn", "Núria", "Ngọc", "Željka", "François")
RIGHT_TO_LEFT_NAMES = ("محمد", "فاطمة", "عمر", "ليلى", "يوسف", "مريم", "خالد", "שרה", "דוד", "רבקה")
FAMILY_STARTS = tuple(
    """Amber Apple Ash Barley Birch Black Bram Bright Brook Cedar Clay Cloud Coal Copper Crow Dun East
    Elder Elm Ember Falcon Fen Fern Flint Frost Glen Gold Grey Hart Haw Hazel Heath Heron High Hollow
    Iron Ivy Kestrel Lark Linden Long Maple Marsh Mill Moor Moss North Oak Otter Quarry Raven Red River
    Rowan Salt Silver Stone Swan Thorn Wattle West Willow Winter Wren""".split()
)
FAMILY_ENDS = tuple(
    """acre bank barrow beck bourne bridge brook by combe cote croft dale dell den dene field fold ford
    garth gate grove ham hill holm holt hurst ing lake land leigh ley low man mead mere mont more ridge
    shaw side stead thorpe ton vale well wick worth""".split()
)
COMPANY_ENDS = (
    "Holdings Pty Ltd",
    "Family Trust",
    "& Sons",
    "Constructions",
    "Super Fund",
    "Cafés",
    "(Vic) P/L",
)
STREETS = ("Acacia", "Banksia", "Currawong", "Dampier", "Eucalypt", "Fig Tree", "Grevillea", "Hakea")
STREET_TYPES = ("Street", "Road", "Avenue", "Parade", "Lane")
SUBURBS = (
    ("Mockingbird Flat", "NSW", "2999"),
    ("Inkwell", "VIC", "3999"),
    ("Paperbark Crossing", "QLD", "4999"),
    ("Sample Bay", "SA", "5999"),
    ("Example Springs", "WA", "6999"),
)
EMPLOYERS = ("Sample Bay Council", "Inkwell Hospital", "Paperbark Freight", "Example Springs School")
ROLES = ("Nurse", "Teacher", "Electrician", "Analyst", "Driver", "Chef")
EMAIL_DOMAINS = ("example.com", "example.com.au", "example.net", "example.org")

MOBILES = tuple(
    f"0491 {number}"
    for number in (
        "570 006|570 156|570 157|570 158|570 159|570 110|570 313|570 737|571 266|571 491|571 804|572 549|"
        "572 665|572 983|573 770|573 087|574 118|574 632|575 254|575 789|576 398|576 801|577 426|577 644|"
        "578 957|578 148|578 888|579 212|579 760|579 455"
    ).split("|")
)
AREA_CODES = ("02", "03", "07", "08")
LANDLINE_STARTS = ("5550", "7010")

LENDERS = (
    ("Harbour Mutual", "HM"),
    ("Wattle Bank", "WB"),
    ("Southern Cross Home Loans", "SCHL"),
    ("Kestrel Credit Union", "KCU"),
    ("First Inkwell", "FI"),
    ("Paperbark Building Society", "PBS"),
    ("Tasman & Co", "T&C"),
    ("Meridian Lending", "ML"),
    ("Bluestone Ridge Finance", "BRF"),
    ("Opal Direct", "OD"),
    ("Redgum Savings", "RS"),
    ("Lighthouse Specialist Loans", "LSL"),
)
SERIES = tuple(
    """Basic Essential Flexi Premier Smart Saver Select Classic Advance Complete Simple Choice Freedom
    Harvest Anchor Horizon Journey Keystone Liberty Momentum""".split()
)
RATES = ("Variable", "Fixed 1 Year", "Fixed 2 Years", "Fixed 3 Years", "Fixed 5 Years")
