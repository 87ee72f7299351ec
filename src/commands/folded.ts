/** Words that are longer than what is left of a narrow line stand alone, and wrap as the terminal has it. */
const ROOM_MIN = 16;
/** So far is what continues a line indented beyond it. */
const HANGING = 2;

/** One line of text as several of no more than `columns` characters, broken between words, as long as these are that short. */
export function folded(line: string, columns: number): readonly string[] {
  const indent = /^ */.exec(line)![0].length;
  const hanging = Math.min(indent + HANGING, Math.max(0, columns - ROOM_MIN));
  const lines: string[] = [];
  let current = "";
  for (const word of line.slice(indent).split(" ")) {
    const start = " ".repeat(lines.length === 0 ? indent : hanging);
    if (current === "") current = start + word;
    else if (current.length + 1 + word.length <= columns) current += ` ${word}`;
    else {
      lines.push(current.trimEnd());
      current = " ".repeat(hanging) + word;
    }
  }
  return [...lines, current];
}
