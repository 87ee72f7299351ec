/** Objects of ours have some fifty lines; what has more than this is shown whole, as taken out and put in. */
const LINES_MAX = 2_000;
const CONTEXT = 3;

interface Line {
  readonly sign: " " | "-" | "+";
  readonly text: string;
}

/** What `diff -u` prints of two texts; empty if they are the same. */
export function unifiedDiff(before: string, after: string, name: string): string {
  if (before === after) return "";
  const lines = compared(linesOf(before), linesOf(after));
  return [`--- ${name} (there)`, `+++ ${name} (wanted)`, ...hunks(lines), ""].join("\n");
}

const linesOf = (text: string): readonly string[] => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));

function compared(before: readonly string[], after: readonly string[]): readonly Line[] {
  const taken = (text: string): Line => ({ sign: "-", text });
  const put = (text: string): Line => ({ sign: "+", text });
  if (before.length + after.length > LINES_MAX) return [...before.map(taken), ...after.map(put)];
  const common = commonLengths(before, after);
  const lines: Line[] = [];
  for (let a = 0, b = 0; a < before.length || b < after.length;) {
    if (a < before.length && b < after.length && before[a] === after[b])
      (lines.push({ sign: " ", text: before[a]! }), (a += 1), (b += 1));
    else if (b >= after.length || (a < before.length && common[a + 1]![b]! >= common[a]![b + 1]!))
      lines.push(taken(before[a++]!));
    else lines.push(put(after[b++]!));
  }
  return lines;
}

/** How many lines two rests have in common at most, by where both begin. */
function commonLengths(before: readonly string[], after: readonly string[]): readonly (readonly number[])[] {
  const table = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0));
  for (let a = before.length - 1; a >= 0; a -= 1)
    for (let b = after.length - 1; b >= 0; b -= 1)
      table[a]![b] =
        before[a] === after[b] ? table[a + 1]![b + 1]! + 1 : Math.max(table[a + 1]![b]!, table[a]![b + 1]!);
  return table;
}

function hunks(lines: readonly Line[]): readonly string[] {
  const shown = lines.map((_, at) =>
    lines.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).some(({ sign }) => sign !== " "),
  );
  const printed: string[] = [];
  for (let at = 0; at < lines.length;) {
    if (shown[at] !== true) at += 1;
    else {
      const end = shown.indexOf(false, at);
      const hunk = lines.slice(at, end < 0 ? lines.length : end);
      printed.push(header(lines.slice(0, at), hunk), ...hunk.map(({ sign, text }) => `${sign}${text}`));
      at += hunk.length;
    }
  }
  return printed;
}

function header(above: readonly Line[], hunk: readonly Line[]): string {
  const range = (other: Line["sign"]): string => {
    const count = (lines: readonly Line[]): number => lines.filter(({ sign }) => sign !== other).length;
    const length = count(hunk);
    return `${count(above) + (length === 0 ? 0 : 1)},${length}`;
  };
  return `@@ -${range("+")} +${range("-")} @@`;
}
