/** The name most like `text`, if it is so like it that it may have been meant. */
export function nearestName(text: string, names: Iterable<string>): string | undefined {
  const head = text.slice(0, CHARS_MAX);
  // A third of it wrong, and it is another word.
  let [nearest, least]: [string | undefined, number] = [undefined, Math.floor(head.length / 3) + 1];
  for (const name of names) {
    if (Math.abs(name.length - head.length) >= least) continue;
    const edits = editsBetween(head.toLowerCase(), name.toLowerCase());
    if (edits < least) [nearest, least] = [name, edits];
  }
  return nearest;
}

const CHARS_MAX = 100;

/** How many letters must be put in, taken out or changed to make one of the other (Levenshtein). */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
