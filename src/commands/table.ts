import { printable } from "../printable.ts";

export type Row = readonly string[];

const CELL_CHARACTERS_MAX = 256;
const GAP = "   ";

/** Left-aligned columns as kubectl prints them. What a client chose to be called cannot move the cursor. */
export function table(headers: Row, rows: readonly Row[]): string {
  const cells = [headers, ...rows].map((row) => row.map((cell) => printable(cell, CELL_CHARACTERS_MAX)));
  const widths = headers.map((_, column) => cells.reduce((width, row) => Math.max(width, row[column]!.length), 0));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join(GAP)
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}
