/** Words for views, body parts and children in many languages: those of `nanoray.reading.dicom.vocabulary`. */

const anyOf = (...patterns: string[]) => new RegExp(`(^| )(${patterns.join("|")})(?= |$)`);

// "laterality", "lateralized", Spanish "lateralidad" and German "Lateralisation" are no views.
const LATERAL = anyOf(
  String.raw`LAT[LR]?\d?`, "LAT(LEFT|RIGHT|LT|RT|PORT)", "(LT|RT|LEFT|RIGHT|[LR])LAT(ERAL)?",
  String.raw`LATERAL(?!I[TZDS])\S*`, "LATERALIS", String.raw`LATERAA\S*`, String.raw`LATERO(LAT\S*|MED\S*)?`,
  "SWIMMERS?", String.raw`PROFIL([OS]|N\S*)?`, "PROFIEL", "(DE|EN) PROF", "PROF (GAUCHE|DROIT)", "PERFI[LS]", String.raw`SEITL\S*`,
  String.raw`SEITEN(AUF|BILD|ANS)\S*`, "ZIJDELINGS", "DWARSE?",
  String.raw`SID[EO](BIL|PROJ|OPT|FOTO|VY|VIEW)\S*`, String.raw`SIVU(K|S|P|L|T)\S*`, String.raw`KULG(V|P)\S*`,
  "FRA SIDEN", "FRAN SIDAN", "Z BOKU", "PIERSIOWA BOK", String.raw`YAN (GRAFI|AKC|GOGUS|TORAKS)\S*`,
  String.raw`BOCZN\S*`, String.raw`BOCN\S*`, String.raw`BOKOV\S*`, String.raw`STRANSK\S*`,
  String.raw`OLDAL(IR|FELV|SO)\S*`, String.raw`SONIN\S*`, "SANU", String.raw`SANSKAT\S*`, "NGHIENG",
  String.raw`БОКОВ\S*`, String.raw`БІЧН\S*`, String.raw`БОЧН\S*`, String.raw`СТРАНИЧ\S*`, String.raw`ПРОФИЛ\S*`,
  String.raw`ПРОФІЛ\S*`, String.raw`ЛАТЕРАЛ\S*`, String.raw`ПЛАГИ\S*`, String.raw`ΠΛΑΓΙ\S*`, "ΠΡΟΦΙΛ", "PLAGIA",
  String.raw`\S*(側面|側位|侧位|侧面|측면|جانبي|ด้านข้าง)\S*`, "צדי", "צידי", "צדדי", "פרופיל",
);
const LATERO_LATERAL = anyOf("LL", "RL", "L L");
const FRONTAL = anyOf(
  "PA", "AP", "P A", "A P", "DV", "VD", "LLD", "RLD", String.raw`FRONT(AL\S*)?`, String.raw`DECUB\S*`, "DEC",
  String.raw`POSTERO ?ANT\S*`, String.raw`ANTERO ?POST\S*`, String.raw`DORSO ?VENTR\S*`,
  String.raw`VENTRO ?DORS\S*`, "FRENTE", "FACE", "VOORACHTERWAARTS", "ON ARKA", "ARKA ON",
  String.raw`PREDOZADN\S*`, String.raw`ZADOPREDN\S*`, String.raw`PRZEDNIO ?TYL\S*`, String.raw`TYLNO ?PRZ\S*`,
  String.raw`ПРЯМ\S*`, String.raw`ФРОНТ\S*`, "ФАС", String.raw`ΠΡΟΣΘΙ\S*`, String.raw`ΟΠΙΣΘ\S*`,
  String.raw`\S*(正位|正面|正侧|正側|정면)\S*`,
);
// Phrases whose "lateral" names a place or a number of sides.
const NO_VIEW = anyOf(
  String.raw`(BI|UNI|IPSI|CONTRA|ANTERO|POSTERO|INFERO|SUPERO|MEDIO) LAT\S*`,
  String.raw`LAT\S* (BORDER|MARGIN|ANGLE|ASPECT|HALF|THIRD|SEGMENT|RECESS|RIB)\S*`,
);
// A complete View Position: the side of the patient nearer to the detector.
const LATERAL_ALONE = new Set(["L", "R", "LL", "RL", "LA", "RA", "LP", "RP"]);
// Nouns for side or profile: a view by themselves, or after the chest. "Side" is none.
const SIDES = new Set(["PROF", "SIDA", "SEITE", "SEIT", "SIVU", "YAN", "BOK", "OLDAL", "PROFILE", "БОК", "צד"]);
const LEFT_RIGHT = new Set(["L", "R", "LT", "RT", "LEFT", "RIGHT"]);
const OBLIQUE = anyOf(
  "RLO", "LLO", "RAO", "LAO", "RPO", "LPO", "OBL", String.raw`OBLI[QC]\S*`, String.raw`SCHRAE?G\S*`,
  String.raw`\S*斜位\S*`,
);
// Words that are kept from free text; they identify no patient.
const KNOWN = new Set([
  "LL", "RL", "L", "R", "LA", "RA", "LEFT", "RIGHT", "XTABLE", "CROSSTABLE", "TABLE", "CHEST", "THORAX",
  "ERECT", "SUPINE", "SITTING", "PORTABLE", "AXIAL",
]);

// Words for a child. "PED VS CAR" is a pedestrian, "Child A" a stage of cirrhosis, Infanta a hospital.
const CHILD = anyOf(
  "CHILD(REN)?S?(?! (PUGH|TURCOTTE|BEARING|BIRTH|[ABC](?= |$)))",
  "PA?ED(?! (VS?|STRUCK|HIT)(?= |$))", "PA?EDI", "PA?EDS", String.raw`PA?E?DIATR\S*`,
  String.raw`PA?EDS?(CHEST|THORAX|CXR)\S*`, "(CHEST|THORAX|CXR)PA?EDS?", String.raw`INFANT(?!A(?= |$)|R)\S*`,
  String.raw`NEONA\S*`, "NEW ?BORNS?", String.raw`BAB(Y|YS|IES|YGRAM\S*|YTHORAX)`, "TODDLERS?",
  "KIND(?! (OF|REGARDS)(?= |$))", String.raw`KINDE[RS]\S*`, String.raw`KLEINKIND\S*`,
  String.raw`SAE?UGLING\S*`, String.raw`(NEU|FRUE?H)GEBOREN\S*`, String.raw`ZUIGELING\S*`,
  String.raw`ENFANT\S*`, String.raw`NOURRISSON\S*`, "BEBES?", "NOUVEAUX? NES?", "NINOS?", "NINAS",
  String.raw`LACTANTE\S*`, String.raw`RECIEN NACID\S*`, String.raw`RECEM NASCID\S*`, "CRIANCAS?", "LACTENTES?",
  String.raw`BAMBIN\S*`, "LATTANT[EI]", "INFANZIA", "BARN", "BARNET", String.raw`BARNE?(RONTGEN|THORAX)\S*`,
  String.raw`SPA?E?DBARN\S*`, String.raw`NYFOD[DT]\S*`, "LAPSI", "LAPS[EI]N", "LASTEN", String.raw`VAUVA\S*`,
  String.raw`IMEVAI\S*`, String.raw`DZIECK\S*`, String.raw`DZIECI\S*`, String.raw`NIEMOWL\S*`,
  String.raw`NOWOROD\S*`, String.raw`NOVORO\S*`, "DITE", "DITETE", "DETI", String.raw`DETSK\S*`,
  String.raw`KOJEN\S*`, "DIJETE", String.raw`DJEC\S*`, String.raw`DECJ\S*`, String.raw`OTROK\S*`,
  String.raw`OTROC\S*`, String.raw`DOJENC\S*`, String.raw`GYERE?M?E?K\S*`, String.raw`CSECSEMO\S*`,
  String.raw`UJSZULOTT\S*`, "COPI(L|II|LUL|LULUI|LOR)", String.raw`NOU NASCUT\S*`, String.raw`COCUK\S*`,
  String.raw`BEBEK\S*`, String.raw`YENIDOGAN\S*`, String.raw`VAIK\S*`, String.raw`KUDIK\S*`,
  String.raw`NAUJAGIM\S*`, String.raw`ZIDAIN\S*`, String.raw`JAUNDZIM\S*`, String.raw`IMIK\S*`,
  String.raw`VASTSUNDIN\S*`, "ANAK", "BAYI", "TRE EM", "SO SINH", "KHOA NHI", String.raw`РЕБЕН\S*`,
  String.raw`ДЕТ(И|ЕИ|СК\S*)`, String.raw`НОВОРО\S*`, String.raw`МЛАДЕН\S*`, String.raw`ГРУДНИЧ\S*`,
  String.raw`П[ЕЯ]ДИАТ\S*`, String.raw`ПЕДІАТР\S*`, String.raw`ДИТИН\S*`, String.raw`ДИТЯЧ\S*`,
  String.raw`НЕМОВЛ\S*`, String.raw`НОВОНАРОДЖ\S*`, "ДЕТЕ", "ДЕЦА", String.raw`КЪРМАЧ\S*`,
  String.raw`ΠΑΙΔΙ\S*`, String.raw`ΒΡΕΦ\S*`, String.raw`ΝΕΟΓΝ\S*`, "ל?ילד(ה|ים)?", String.raw`תינוק\S*`,
  "יילוד", String.raw`פדיאטר\S*`, String.raw`\S*(儿童|兒童|小儿|小兒|婴儿|嬰兒|婴幼|嬰幼|新生儿|新生兒|幼儿|幼兒|儿科|兒科|患儿|患兒)\S*`,
  String.raw`\S*(小児|子供|子ども|乳児|乳幼児|新生児|幼児|児童|소아|어린이|신생아|영아|유아)\S*`,
  String.raw`\S*(طفل|أطفال|اطفال|رضيع|เด็ก|ทารก|बच्च|शिशु)\S*`,
);
// With its tilde only: Nina is a name.
const NINA = /(^|[^A-Z])NI\u00d1A(?![A-Z])/;
const NO_CHILD = anyOf(String.raw`(NON|NOT|NO) (PA?ED\S*|CHILD\S*|INFANT\S*|NEONA\S*)`);
// Beside a word for a child, a protocol for both.
const ADULT = anyOf(
  String.raw`ADULT\S*`, String.raw`ERWACHSEN\S*`, String.raw`VOLWASS\S*`, String.raw`VUXEN\S*`,
  String.raw`VOKSEN\S*`, String.raw`AIKUI\S*`, String.raw`DOROSL\S*`, String.raw`DOSPEL\S*`,
  String.raw`FELNOTT\S*`, String.raw`ODRASL\S*`, String.raw`YETISKIN\S*`, String.raw`ERISKIN\S*`,
  String.raw`SUAUG\S*`, String.raw`PIEAUG\S*`, "DEWASA", "NGUOI LON", String.raw`ВЗРОСЛ\S*`,
  String.raw`ДОРОСЛ\S*`, String.raw`ВЪЗРАСТН\S*`, String.raw`ΕΝΗΛΙΚ\S*`,
  String.raw`\S*(成人|成年|大人|성인|بالغ|מבוגר)\S*`,
);

// Parts of words for the chest or the lungs, without accents.
const CHEST = [
  "CHEST", "CHST", "THORAX", "THORAKS", "TORAX", "TORAKS", "TORACE", "LUNG", "CXR", "THX", "POUMON", "PULMO", "PULMAO",
  "POLMON", "BRUST", "PECHO", "PETTO", "PEITO", "POITRINE", "BORST", "BROST", "BRYST", "KLATKA", "PLUCA",
  "PLICE", "PLAMAN", "HRUDNIK", "HRUD", "GRUDN", "GRUDI", "KEUHKO", "RINTA", "RINDKERE", "MELLKAS", "GOGUS",
  "AKCIGER", "PRSNIKOS", "KRUTINE", "KRUSKURVIS", "DADA", "NGUC", "PHOI", "ГРУД", "ГРЪД", "ГРАДЕНКОШ", "ОГК",
  "ЛЕГК", "ЛЕГЕН", "ΘΩΡΑΚ", "ΘΩΡΑΞ", "ΠΝΕΥΜ", "חזה", "صدر", "胸", "肺", "가슴", "흉부", "ทรวงอก", "ปอด",
];
// Parts of words for the spine and the sternum, whose names often contain the chest's.
const BONES = [
  "SPINE", "SPINAL", "VERTEBR", "WIRBEL", "WERVEL", "VERVEL", "VIRVEL", "RACHIS", "RACHID", "COLUM", "COLUN",
  "COLONN", "COLOAN", "KRALJ", "KICM", "KREGOSL", "KREGI", "KREGOW", "PATER", "CHRBT", "HRBTEN", "GERINC",
  "CSIGOLY", "OMUR", "RYG", "RUCKGRAT", "RUCKEN", "RUECK", "RANKA", "RANGA", "NIKAMA", "LULISAM", "STUBUR",
  "MUGURKAUL", "LUMBA", "LUMBO", "LOMBA", "BELAKANG", "COTSONG", "ПОЗВОН", "ХРЕБ", "ГРЪБ", "КИЧМ", "РБЕТ",
  "ГРУДНОИОТДЕЛ", "ГРУДНОГООТДЕЛ", "ГРУДНИИВІДДІЛ", "ΣΠΟΝΔ", "שדר", "فقر", "椎", "脊", "척추", "흉추", "สันหลัง",
  "STERNUM", "BRUSTBEIN", "BROSTBEN", "BRYSTBEN", "BORSTBEEN", "RINTALASTA", "HRUDNIKOST", "HRUDNAKOST",
  "GOGUSKEMI", "ГРУДИНА", "胸骨",
];
// Abbreviations of German Wirbelsäule; whole words, since others contain WS.
const SPINE_ALONE = new Set(["WS", "BWS", "LWS", "HWS"]);
// Values that name no body part, without signs and spaces.
const UNSAID = new Set([
  "", "UNKNOWN", "UNSPECIFIED", "UNDEFINED", "OTHER", "NONE", "NA", "ANY", "NOTSPECIFIED", "DEFAULT", "GENERAL",
  "MISC", "XR", "CR", "DX", "BODY", "WHOLEBODY",
]);

// Space, signs and punctuation. Devices' engines know no Unicode property escapes.
const BETWEEN = /[\s\u0000-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u2000-\u206f\u3000-\u303f]+/;
// Letters that do not decompose into a plain one and an accent.
const LETTERS: Readonly<Record<string, string>> = { Ł: "L", Ø: "O", Đ: "D", Æ: "AE", Œ: "OE" };

/** The words of a text in capitals, without accents; letters of other scripts are kept. */
export function words(value: string | null): string[] {
  const plain = (value ?? "").normalize("NFKD").toUpperCase().replace(/[\u0300-\u036f]/g, "").normalize("NFC");
  return plain.replace(/[ŁØĐÆŒ]/g, (letter) => LETTERS[letter]!).split(BETWEEN).filter(Boolean);
}

/** Whether a text, such as a description, means a lateral view; decubitus views are frontal, "PA LAT" is open. */
export function saysLateral(text: string | null): boolean {
  const tokens = words(text);
  const joined = tokens.join(" ");
  if (FRONTAL.test(joined)) return false;
  if (LATERAL.test(joined.replace(new RegExp(NO_VIEW, "g"), " "))) return true;
  // LL is latero-lateral in Italian, and lower limb in English.
  if (LATERO_LATERAL.test(joined)) return isChest(joined) || tokens.every((token) => /^(LL|RL|L)$/.test(token));
  const [before, last] = tokens.slice(-2);
  return last !== undefined && last !== "PROFILE" && SIDES.has(last) && isChest(before!);
}

/** Whether a View Position means a lateral view. */
export function isLateral(view: string | null): boolean {
  const tokens = words(view);
  const joined = tokens.join(" ");
  if (!tokens.length || FRONTAL.test(joined)) return false;
  // In a description, "Prof" is a person too.
  if (tokens.includes("PROF") || tokens.every((token) => LATERAL_ALONE.has(token)) || LATERO_LATERAL.test(joined)) return true;
  const sided = tokens.every((token) => SIDES.has(token) || LEFT_RIGHT.has(token));
  return (sided && !tokens.every((token) => LEFT_RIGHT.has(token))) || saysLateral(view);
}

/** Whether a View Position means an oblique view. */
export function isOblique(view: string | null): boolean {
  return OBLIQUE.test(words(view).join(" "));
}

/** The words of a View Position that are those of views; null without any. */
export function knownView(view: string): string | null {
  const known = (token: string) => KNOWN.has(token) || FRONTAL.test(token) || OBLIQUE.test(token);
  const kept = [...new Set(words(view))].filter(known).join(" ");
  if (isLateral(view)) return isLateral(kept) ? kept : `LATERAL ${kept}`.trim();
  return isLateral(kept) ? null : kept || null;
}

/** Whether a body part is the chest, and no bone of it. */
export function isChest(part: string | null): boolean {
  const tokens = words(part);
  const joined = tokens.join("");
  const has = (word: string) => joined.includes(word);
  return CHEST.some(has) && !BONES.some(has) && !tokens.some((token) => SPINE_ALONE.has(token));
}

/** Whether a Body Part Examined names no body part. */
export function isUnsaid(part: string | null): boolean {
  return UNSAID.has(words(part).join(""));
}

/** Whether a text, such as a description, means a child; words for adults too, as in "adult/paed", are open. */
export function meansChild(text: string | null): boolean {
  const joined = words(text).join(" ");
  if (ADULT.test(joined)) return false;
  const written = (text ?? "").normalize("NFC").toUpperCase();
  return CHILD.test(joined.replace(new RegExp(NO_CHILD, "g"), " ")) || NINA.test(written);
}
