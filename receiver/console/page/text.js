// Rule 1: a character that is not seen, such as a bidirectional mark, is escaped, as in \u202e: it
//         could reorder or hide what the page writes. Ends of lines, tabs and the forms of emoji stay.
// Rule 2: a text with right-to-left letters is isolated (Unicode's FSI and PDI): it does not reorder
//         the numbers and words beside it.
// Rule 3: ids stay as they are: they are sent back, and not shown.

const UNSEEN = /(?![\n\t\ufe00-\ufe0f])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const ISOLATED = new Set(["name", "caller", "text", "title"]);

/** A text with its invisible characters escaped. */
export const visible = (text) => text.replace(UNSEEN, escaped);

/** The reviver of `JSON.parse` for what the server sends. */
export function safe(key, value) {
  if (typeof value !== "string" || key === "id") return value;
  const text = visible(value);
  return ISOLATED.has(key) && RIGHT_TO_LEFT.test(text) ? `\u2068${text}\u2069` : text;
}

function escaped(character) {
  const code = character.codePointAt(0).toString(16);
  if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
  return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
}
