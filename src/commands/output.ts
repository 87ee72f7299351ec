import { stringify } from "yaml";
import type { CommandCall, Flag } from "../command.ts";
import { table, type Row } from "./table.ts";

/** Tables are for people and may change; the other formats are for scripts. */
export const OUTPUT_FLAG: Flag = {
  flags: "-o, --output <format>",
  description: "how to print",
  choices: ["table", "json", "yaml"],
  default: "table",
};

/** Prints `value` as the user wants it; `rows` only makes the table if that is what is asked for. */
export function print(
  { options, printer, terminal }: CommandCall,
  value: unknown,
  headers: Row,
  rows: () => readonly Row[],
): void {
  if (options["output"] === "json") printer.out(`${JSON.stringify(value, undefined, 2)}\n`);
  else if (options["output"] === "yaml") printer.out(stringify(value, { aliasDuplicateObjects: false }));
  else printer.out(table(headers, rows(), terminal.columns));
}
