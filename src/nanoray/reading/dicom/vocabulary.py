"""Words for views, body parts and children in many languages, as `values.words` gives them.

The phone's reader has the same words (`mobile/packages/web/src/reading/vocabulary.ts`), and one
table tests both (`tests/vectors/headers.json`).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from nanoray.reading.dicom.values import words


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile(f"(^| )({'|'.join(patterns)})(?= |$)")


_LATERAL: Final = _any_of(
    *(r"LAT[LR]?\d?", r"LAT(LEFT|RIGHT|LT|RT|PORT)", r"(LT|RT|LEFT|RIGHT|[LR])LAT(ERAL)?"),
    # "laterality", "lateralized", Spanish "lateralidad" and German "Lateralisation" are no views.
    *(r"LATERAL(?!I[TZDS])\S*", "LATERALIS", r"LATERAA\S*", r"LATERO(LAT\S*|MED\S*)?", "SWIMMERS?"),
    *(
        r"PROFIL([OS]|N\S*)?",
        "PROFIEL",
        "(DE|EN) PROF",
        "PROF (GAUCHE|DROIT)",
        "PERFI[LS]",
        r"SEITL\S*",
        r"SEITEN(AUF|BILD|ANS)\S*",
    ),
    *("ZIJDELINGS", "DWARSE?", r"SID[EO](BIL|PROJ|OPT|FOTO|VY|VIEW)\S*", r"SIVU(K|S|P|L|T)\S*"),
    *(
        r"KULG(V|P)\S*",
        "FRA SIDEN",
        "FRAN SIDAN",
        "Z BOKU",
        "PIERSIOWA BOK",
        r"YAN (GRAFI|AKC|GOGUS|TORAKS)\S*",
    ),
    *(r"BOCZN\S*", r"BOCN\S*", r"BOKOV\S*", r"STRANSK\S*", r"OLDAL(IR|FELV|SO)\S*", r"SONIN\S*"),
    *("SANU", r"SANSKAT\S*", "NGHIENG", r"БОКОВ\S*", r"БІЧН\S*", r"БОЧН\S*", r"СТРАНИЧ\S*"),
    *(r"ПРОФИЛ\S*", r"ПРОФІЛ\S*", r"ЛАТЕРАЛ\S*", r"ПЛАГИ\S*", r"ΠΛΑΓΙ\S*", "ΠΡΟΦΙΛ", "PLAGIA"),
    *(r"\S*(側面|側位|侧位|侧面|측면|جانبي|ด้านข้าง)\S*", "צדי", "צידי", "צדדי", "פרופיל"),
)
_LATERO_LATERAL: Final = _any_of("LL", "RL", "L L")
_FRONTAL: Final = _any_of(
    *("PA", "AP", "P A", "A P", "DV", "VD", "LLD", "RLD", r"FRONT(AL\S*)?", r"DECUB\S*", "DEC"),
    *(r"POSTERO ?ANT\S*", r"ANTERO ?POST\S*", r"DORSO ?VENTR\S*", r"VENTRO ?DORS\S*"),
    *("FRENTE", "FACE", "VOORACHTERWAARTS", "ON ARKA", "ARKA ON", r"PREDOZADN\S*", r"ZADOPREDN\S*"),
    *(r"PRZEDNIO ?TYL\S*", r"TYLNO ?PRZ\S*", r"ПРЯМ\S*", r"ФРОНТ\S*", "ФАС", r"ΠΡΟΣΘΙ\S*"),
    *(r"ΟΠΙΣΘ\S*", r"\S*(正位|正面|正侧|正側|정면)\S*"),
)
# Phrases whose "lateral" names a place or a number of sides.
_NO_VIEW: Final = _any_of(
    r"(BI|UNI|IPSI|CONTRA|ANTERO|POSTERO|INFERO|SUPERO|MEDIO) LAT\S*",
    r"LAT\S* (BORDER|MARGIN|ANGLE|ASPECT|HALF|THIRD|SEGMENT|RECESS|RIB)\S*",
)
# A complete View Position: the side of the patient nearer to the detector.
_LATERAL_ALONE: Final = frozenset({"L", "R", "LL", "RL", "LA", "RA", "LP", "RP"})
# Nouns for side or profile: a view by themselves, or after the chest. "Side" is none.
_SIDES: Final = frozenset(
    {"PROF", "SIDA", "SEITE", "SEIT", "SIVU", "YAN", "BOK", "OLDAL", "PROFILE", "БОК", "צד"}
)
_LEFT_RIGHT: Final = frozenset({"L", "R", "LT", "RT", "LEFT", "RIGHT"})
_OBLIQUE: Final = _any_of(
    *("RLO", "LLO", "RAO", "LAO", "RPO", "LPO", "OBL", r"OBLI[QC]\S*", r"SCHRAE?G\S*"),
    r"\S*斜位\S*",
)
# Words that are kept from free text; they identify no patient.
_KNOWN: Final = frozenset(
    {
        *("LL", "RL", "L", "R", "LA", "RA", "LEFT", "RIGHT", "XTABLE", "CROSSTABLE", "TABLE"),
        *("CHEST", "THORAX", "ERECT", "SUPINE", "SITTING", "PORTABLE", "AXIAL"),
    }
)

# Words for a child. "PED VS CAR" is a pedestrian, "Child A" a stage of cirrhosis, Infanta part of
# the names of hospitals.
_CHILD: Final = _any_of(
    "CHILD(REN)?S?(?! (PUGH|TURCOTTE|BEARING|BIRTH|[ABC](?= |$)))",
    *("PA?ED(?! (VS?|STRUCK|HIT)(?= |$))", "PA?EDI", "PA?EDS", r"PA?E?DIATR\S*"),
    *(r"PA?EDS?(CHEST|THORAX|CXR)\S*", "(CHEST|THORAX|CXR)PA?EDS?", r"INFANT(?!A(?= |$)|R)\S*"),
    *(r"NEONA\S*", "NEW ?BORNS?", r"BAB(Y|YS|IES|YGRAM\S*|YTHORAX)", "TODDLERS?"),
    *("KIND(?! (OF|REGARDS)(?= |$))", r"KINDE[RS]\S*", r"KLEINKIND\S*", r"SAE?UGLING\S*"),
    *(r"(NEU|FRUE?H)GEBOREN\S*", r"ZUIGELING\S*", r"ENFANT\S*", r"NOURRISSON\S*", "BEBES?"),
    *("NOUVEAUX? NES?", "NINOS?", "NINAS", r"LACTANTE\S*", r"RECIEN NACID\S*"),
    *(r"RECEM NASCID\S*", "CRIANCAS?", "LACTENTES?", r"BAMBIN\S*", "LATTANT[EI]", "INFANZIA"),
    *("BARN", "BARNET", r"BARNE?(RONTGEN|THORAX)\S*", r"SPA?E?DBARN\S*", r"NYFOD[DT]\S*"),
    *("LAPSI", "LAPS[EI]N", "LASTEN", r"VAUVA\S*", r"IMEVAI\S*", r"DZIECK\S*", r"DZIECI\S*"),
    *(r"NIEMOWL\S*", r"NOWOROD\S*", r"NOVORO\S*", "DITE", "DITETE", "DETI", r"DETSK\S*"),
    *(r"KOJEN\S*", "DIJETE", r"DJEC\S*", r"DECJ\S*", r"OTROK\S*", r"OTROC\S*", r"DOJENC\S*"),
    *(r"GYERE?M?E?K\S*", r"CSECSEMO\S*", r"UJSZULOTT\S*", "COPI(L|II|LUL|LULUI|LOR)"),
    *(r"NOU NASCUT\S*", r"COCUK\S*", r"BEBEK\S*", r"YENIDOGAN\S*", r"VAIK\S*", r"KUDIK\S*"),
    *(r"NAUJAGIM\S*", r"ZIDAIN\S*", r"JAUNDZIM\S*", r"IMIK\S*", r"VASTSUNDIN\S*", "ANAK", "BAYI"),
    *("TRE EM", "SO SINH", "KHOA NHI", r"РЕБЕН\S*", r"ДЕТ(И|ЕИ|СК\S*)", r"НОВОРО\S*"),
    *(r"МЛАДЕН\S*", r"ГРУДНИЧ\S*", r"П[ЕЯ]ДИАТ\S*", r"ПЕДІАТР\S*", r"ДИТИН\S*", r"ДИТЯЧ\S*"),
    *(r"НЕМОВЛ\S*", r"НОВОНАРОДЖ\S*", "ДЕТЕ", "ДЕЦА", r"КЪРМАЧ\S*", r"ΠΑΙΔΙ\S*", r"ΒΡΕΦ\S*"),
    *(r"ΝΕΟΓΝ\S*", "ל?ילד(ה|ים)?", r"תינוק\S*", "יילוד", r"פדיאטר\S*"),
    r"\S*(儿童|兒童|小儿|小兒|婴儿|嬰兒|婴幼|嬰幼|新生儿|新生兒|幼儿|幼兒|儿科|兒科|患儿|患兒)\S*",
    r"\S*(小児|子供|子ども|乳児|乳幼児|新生児|幼児|児童|소아|어린이|신생아|영아|유아)\S*",
    r"\S*(طفل|أطفال|اطفال|رضيع|เด็ก|ทารก|बच्च|शिशु)\S*",
)
# With its tilde only: Nina is a name.
_NINA: Final = re.compile(r"\bNI\u00d1A\b")
_NO_CHILD: Final = _any_of(r"(NON|NOT|NO) (PA?ED\S*|CHILD\S*|INFANT\S*|NEONA\S*)")
# Beside a word for a child, a protocol for both.
_ADULT: Final = _any_of(
    *(r"ADULT\S*", r"ERWACHSEN\S*", r"VOLWASS\S*", r"VUXEN\S*", r"VOKSEN\S*", r"AIKUI\S*"),
    *(r"DOROSL\S*", r"DOSPEL\S*", r"FELNOTT\S*", r"ODRASL\S*", r"YETISKIN\S*", r"ERISKIN\S*"),
    *(r"SUAUG\S*", r"PIEAUG\S*", "DEWASA", "NGUOI LON", r"ВЗРОСЛ\S*", r"ДОРОСЛ\S*"),
    *(r"ВЪЗРАСТН\S*", r"ΕΝΗΛΙΚ\S*", r"\S*(成人|成年|大人|성인|بالغ|מבוגר)\S*"),
)

# Parts of words for the chest or the lungs, without accents. Body Part Examined (PS3.16 Annex L)
# is CHEST; other languages and local lists have these.
_CHEST: Final = (
    *("CHEST", "CHST", "THORAX", "THORAKS", "TORAX", "TORAKS", "TORACE", "LUNG", "CXR", "THX"),
    *("POUMON", "PULMO", "PULMAO", "POLMON", "BRUST", "PECHO", "PETTO", "PEITO", "POITRINE"),
    *("BORST", "BROST", "BRYST", "KLATKA", "PLUCA", "PLICE", "PLAMAN", "HRUDNIK", "HRUD"),
    *("GRUDN", "GRUDI", "KEUHKO", "RINTA", "RINDKERE", "MELLKAS", "GOGUS", "AKCIGER", "PRSNIKOS"),
    *("KRUTINE", "KRUSKURVIS", "DADA", "NGUC", "PHOI"),
    *("ГРУД", "ГРЪД", "ГРАДЕНКОШ", "ОГК", "ЛЕГК", "ЛЕГЕН", "ΘΩΡΑΚ", "ΘΩΡΑΞ", "ΠΝΕΥΜ", "חזה"),
    *("صدر", "胸", "肺", "가슴", "흉부", "ทรวงอก", "ปอด"),
)
# Parts of words for the spine and the sternum, whose names often contain the chest's.
_BONES: Final = (
    *("SPINE", "SPINAL", "VERTEBR", "WIRBEL", "WERVEL", "VERVEL", "VIRVEL", "RACHIS", "RACHID"),
    *("COLUM", "COLUN", "COLONN", "COLOAN", "KRALJ", "KICM", "KREGOSL", "KREGI", "KREGOW", "PATER"),
    *("CHRBT", "HRBTEN", "GERINC", "CSIGOLY", "OMUR", "RYG", "RUCKGRAT", "RUCKEN", "RUECK"),
    *("RANKA", "RANGA", "NIKAMA", "LULISAM", "STUBUR", "MUGURKAUL", "LUMBA", "LUMBO", "LOMBA"),
    *("BELAKANG", "COTSONG", "ПОЗВОН", "ХРЕБ", "ГРЪБ", "КИЧМ", "РБЕТ", "ГРУДНОИОТДЕЛ"),
    *("ГРУДНОГООТДЕЛ", "ГРУДНИИВІДДІЛ", "ΣΠΟΝΔ", "שדר", "فقر", "椎", "脊", "척추", "흉추", "สันหลัง"),
    *("STERNUM", "BRUSTBEIN", "BROSTBEN", "BRYSTBEN", "BORSTBEEN", "RINTALASTA", "HRUDNIKOST"),
    *("HRUDNAKOST", "GOGUSKEMI", "ГРУДИНА", "胸骨"),
)
# Abbreviations of German Wirbelsäule; whole words, since others contain WS.
_SPINE_ALONE: Final = frozenset({"WS", "BWS", "LWS", "HWS"})
# Values that name no body part, without signs and spaces.
_UNSAID: Final = frozenset(
    {
        *("", "UNKNOWN", "UNSPECIFIED", "UNDEFINED", "OTHER", "NONE", "NA", "ANY", "NOTSPECIFIED"),
        *("DEFAULT", "GENERAL", "MISC", "XR", "CR", "DX", "BODY", "WHOLEBODY"),
    }
)


def says_lateral(text: str | None) -> bool:
    """Return whether a text, such as a description, means a lateral view.

    A lateral decubitus view is a frontal view of a patient lying on the side. Words with a frontal
    view too, as in "PA LAT", are ambiguous and return False.
    """
    tokens = words(text)
    joined = " ".join(tokens)
    if _FRONTAL.search(joined):
        return False
    if _LATERAL.search(_NO_VIEW.sub(" ", joined)):
        return True
    # LL is latero-lateral in Italian, and lower limb in English.
    if _LATERO_LATERAL.search(joined):
        return is_chest(joined) or not _LATERO_LATERAL.sub("", joined)
    return len(tokens) > 1 and tokens[-1] in _SIDES - {"PROFILE"} and is_chest(tokens[-2])


def is_lateral(view: str | None) -> bool:
    """Return whether a View Position means a lateral view."""
    joined, tokens = " ".join(words(view)), set(words(view))
    if not tokens or _FRONTAL.search(joined):
        return False
    # In a description, "Prof" is a person too.
    if tokens <= _LATERAL_ALONE or "PROF" in tokens or _LATERO_LATERAL.search(joined):
        return True
    if tokens <= _SIDES | _LEFT_RIGHT and not tokens <= _LEFT_RIGHT:
        return True
    return says_lateral(view)


def is_oblique(view: str | None) -> bool:
    """Return whether a View Position means an oblique view."""
    return bool(_OBLIQUE.search(" ".join(words(view))))


def known_view(view: str) -> str | None:
    """Return the words of a View Position that are those of views; None without any."""
    tokens = dict.fromkeys(words(view))
    kept = " ".join(
        token
        for token in tokens
        if token in _KNOWN or _FRONTAL.fullmatch(token) or _OBLIQUE.fullmatch(token)
    )
    if is_lateral(view):
        return kept if is_lateral(kept) else f"LATERAL {kept}".strip()
    return None if is_lateral(kept) else kept or None


def is_chest(part: str | None) -> bool:
    """Return whether a body part is the chest, and no bone of it."""
    tokens = words(part)
    joined = "".join(tokens)
    return (
        any(word in joined for word in _CHEST)
        and not any(word in joined for word in _BONES)
        and _SPINE_ALONE.isdisjoint(tokens)
    )


def is_unsaid(part: str | None) -> bool:
    """Return whether a Body Part Examined names no body part."""
    return "".join(words(part)) in _UNSAID


def means_child(text: str | None) -> bool:
    """Return whether a text, such as a description, means a child.

    Words for adults too, as in "adult/paed", are ambiguous and return False.
    """
    joined = " ".join(words(text))
    if _ADULT.search(joined):
        return False
    written = unicodedata.normalize("NFC", text or "").upper()
    return bool(_CHILD.search(_NO_CHILD.sub(" ", joined)) or _NINA.search(written))
