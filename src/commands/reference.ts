import type { Command, CommandGroup, Flag } from "../command.ts";

/** @returns docs/reference.md: every command, flag and default, from the very values that the command line is made of. */
export const referencePage = (entries: readonly (Command | CommandGroup)[]): string =>
  [HEAD, ...entries.flatMap(sectionsOf)].join("\n");

const HEAD = `# Every command and flag

Made from the code by \`npm run reference\`; [cli.md](cli.md) says what they are for. Each command also has \`--timeout <duration>\`
and \`--help\`.

<!-- commands: not run: these are examples; the pages that explain them have them run, or say why not -->
`;

function sectionsOf(entry: Command | CommandGroup): readonly string[] {
  if (!("commands" in entry)) return [commandSection(entry, "")];
  const members = entry.commands.map((command) => commandSection(command, `${entry.name} `));
  return [`## causeway ${entry.name}\n\n${sentence(entry.summary)}\n`, ...members];
}

function commandSection(command: Command, before: string): string {
  const { name, aliases = [], summary, args = [], flags, examples = [] } = command;
  const call = ["causeway", before + name, ...args].join(" ").replace(/ +/g, " ");
  const parts = [
    `${before === "" ? "##" : "###"} \`${call}\``,
    sentence(summary) + (aliases.length === 0 ? "" : ` Short: ${aliases.map((alias) => `\`${alias}\``).join(", ")}.`),
    ...(examples.length === 0 ? [] : [examples.map((example) => `    ${example}`).join("\n")]),
    ...(flags.length === 0 ? [] : [flagTable(flags)]),
  ];
  return `${parts.join("\n\n")}\n`;
}

const flagTable = (flags: readonly Flag[]): string =>
  ["| flag | meaning |", "|---|---|", ...flags.map(flagRow)].join("\n");

function flagRow({ flags, description, choices, default: preset }: Flag): string {
  const extra = [
    ...(choices === undefined ? [] : [`one of ${choices.map((choice) => `\`${choice}\``).join(", ")}`]),
    ...(preset === undefined || preset === false ? [] : [`\`${String(preset)}\` by default`]),
  ];
  const meaning = [description, ...extra].join("; ");
  return `| \`${flags.replace(/\|/g, "\\|")}\` | ${cell(meaning)} |`;
}

const cell = (text: string): string => text.replace(/\|/g, "\\|").replace(/</g, "&lt;").replace(/\n/g, " ");

const sentence = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}.`;
