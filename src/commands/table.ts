import { printable } from "../printable.ts";

export type Row = readonly string[];

const CELL_CHARACTERS_MAX = 256;
const GAP = "   ";

const COLUMNS_MIN = 60;

/** True of a terminal where columns that do not fit become a block for each row; a wider one wraps, as kubectl's does. */
export const isNarrow = (columns: number | undefined): columns is number =>
  columns !== undefined && columns < COLUMNS_MIN;

/**
 * Left-aligned columns as kubectl prints them. What a client chose to be called cannot move the cursor.
 * @param columns how wide the terminal is; undefined if what is printed goes to a file or a pipe.
 */
export function table(headers: Row, rows: readonly Row[], columns?: number): string {
  const cells = [headers, ...rows].map((row) => row.map((cell) => printable(cell, CELL_CHARACTERS_MAX)));
  const widths = headers.map((_, column) => cells.reduce((width, row) => Math.max(width, row[column]!.length), 0));
  const width = widths.reduce((sum, each) => sum + each, GAP.length * (widths.length - 1));
  if (isNarrow(columns) && width > columns) return blocks(headers, cells.slice(1));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join(GAP)
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}

/** One field a line, and a blank line between rows. */
function blocks(headers: Row, rows: readonly Row[]): string {
  const width = headers.reduce((longest, header) => Math.max(longest, header.length), 0);
  const block = (row: Row): string =>
    row.map((cell, at) => `${headers[at]!.padEnd(width)}  ${cell}`.trimEnd()).join("\n");
  return rows.map((row) => `${block(row)}\n`).join("\n");
}
