import { Command as Program, Option } from "commander";
import type { Command, CommandGroup, Flag, Options, Printer, Terminal } from "./command.ts";

/** What is done with a command that was named, its arguments and its options. */
export type Run = (command: Command, args: readonly string[], options: Options) => Promise<void>;

export interface ProgramParts {
  readonly commands: readonly (Command | CommandGroup)[];
  readonly version: string;
  readonly printer: Printer;
  readonly terminal: Terminal;
  /** The `--timeout` that holds unless another one is given, as `30s`. */
  readonly timeout: string;
}

/** Of help that goes to a file or a pipe. */
const HELP_COLUMNS = 100;

/** The grammar of the command line, as commander reads it. Whoever errs is told what is near, and where the rest is. */
export function toProgram({ commands, version, printer, terminal, timeout }: ProgramParts, run: Run): Program {
  const program = new Program("causeway")
    .description("A control plane for Istio ambient meshes")
    .version(version, "-V, --version")
    .option("--timeout <duration>", `give up after this long, as 5s or 2m; ${timeout} by default`)
    .showHelpAfterError("(causeway --help lists commands; a command's flags stand after it)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => printer.out(text),
      writeErr: (text) => printer.err(text),
      getOutHelpWidth: () => terminal.columns ?? HELP_COLUMNS,
      getErrHelpWidth: () => terminal.columns ?? HELP_COLUMNS,
      outputError: (text, write) => write(text.replace(/^error: /, "causeway: ") + elsewhere(commands, text)),
    });
  for (const command of commands) {
    if (!("commands" in command)) addCommand(program, command, run);
    else {
      const group = addWord(program, command).showHelpAfterError(
        `(causeway ${command.name} --help lists its commands)`,
      );
      for (const member of command.commands) addCommand(group, member, run, command.name);
    }
  }
  return program;
}

/** Where the flags of a command are listed; `name` as the user called it, as `multicluster diff`. */
export const helpOf = (name: string): string => `(causeway ${name} --help lists its flags)`;

/**
 * What was meant, where commander would answer something else: `help` with two words, and help for what does not exist, which
 * it takes for a wish for all help.
 */
export function meantWords(commands: readonly (Command | CommandGroup)[], words: readonly string[]): readonly string[] {
  const [first = "", second = "", ...rest] = words;
  if (first === "help" && second !== "") return meantWords(commands, [second, ...rest, "--help"]);
  if (first === "" || first.startsWith("-") || first === "help") return words;
  const entry = entryOf(commands, first);
  if (entry === undefined) return [first];
  const named = second === "" || second.startsWith("-") || second === "help";
  if (!("commands" in entry) || named || entryOf(entry.commands, second) !== undefined) return words;
  return [first, second];
}

const entryOf = <E extends Command | CommandGroup>(entries: readonly E[], word: string): E | undefined =>
  entries.find((entry) => entry.name === word || ("aliases" in entry && entry.aliases?.includes(word) === true));

const addWord = (parent: Program, { name, summary }: Command | CommandGroup): Program =>
  parent.command(name).summary(summary).description(summary);

function addCommand(parent: Program, command: Command, run: Run, group?: string): void {
  const name = group === undefined ? command.name : `${group} ${command.name}`;
  const word = addWord(parent, command).showHelpAfterError(helpOf(name));
  for (const alias of command.aliases ?? []) word.alias(alias);
  for (const arg of command.args ?? []) word.argument(arg);
  for (const flag of command.flags) word.addOption(toOption(flag));
  if (!command.flags.some(({ flags }) => flags.includes("--timeout")))
    word.addOption(new Option("--timeout <duration>", "give up after this long, as 5s or 2m"));
  if (command.examples !== undefined)
    word.addHelpText("after", `\nExamples:\n${command.examples.map((example) => `  ${example}\n`).join("")}`);
  // Errors call it as the user did.
  word.action(() => run({ ...command, name }, word.args, word.optsWithGlobals<Options>()));
}

function toOption(flag: Flag): Option {
  const option = new Option(flag.flags, flag.description);
  if (flag.default !== undefined) option.default(flag.default);
  if (flag.choices !== undefined) option.choices(flag.choices);
  if (flag.repeated === true)
    option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);
  return option;
}

/** For a word that is unknown where it stands, and a command of a group. */
function elsewhere(commands: readonly (Command | CommandGroup)[], text: string): string {
  const word = /^error: unknown command '(.*)'$/m.exec(text)?.[1];
  if (word === undefined) return "";
  const groups = commands.filter((entry) => "commands" in entry && entryOf(entry.commands, word) !== undefined);
  return groups.map(({ name }) => `(Did you mean ${name} ${word}?)\n`).join("");
}
