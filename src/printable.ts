/** `text` fit for a log line or a terminal: control and format characters escaped, at most `charactersMax` characters. */
export function printable(text: string, charactersMax: number): string {
  // Cut before escaping too, so that a megabyte of escapes costs nothing.
  const head = text.slice(0, charactersMax).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029]/gu, escape);
  if (head.length <= charactersMax && text.length <= charactersMax) return head;
  return `${head.slice(0, charactersMax - 1)}…`;
}

function escape(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
