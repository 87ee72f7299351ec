import { Command as Program, CommanderError, Option } from "commander";
import type { Command, CommandGroup, Environment, ExitCode, Flag, Options, Printer, Terminal } from "./command.ts";
import { textOption, UsageError } from "./command.ts";
import { parseDurationMs } from "./duration.ts";
import { eitherSignal } from "./either-signal.ts";
import { MeshError, messageOf } from "./errors.ts";
import type { Clock } from "./host.ts";
import { Progress } from "./progress.ts";

/** What `--timeout` is unless given: longer than any command needs on a healthy mesh. */
const TIMEOUT = "30s";
/** How long a command that was told to stop may take to close what it has open; an endless one has clients to drain. */
const GRACE_MS = 500;
const ENDLESS_GRACE_MS = 5000;

/** Of help that goes to a file or a pipe. */
const HELP_COLUMNS = 100;

export interface Cli {
  readonly commands: readonly (Command | CommandGroup)[];
  readonly version: string;
  readonly clock: Clock;
  readonly printer: Printer;
  readonly terminal: Terminal;
  readonly environment: Environment;
  /** Aborts when the user wants to stop: the first Ctrl-C. */
  readonly interrupted: AbortSignal;
}

/** Runs what `words` say: the command line after the program's name. Never throws; every failure is one sentence. */
export async function runCli(cli: Cli, words: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const program = toProgram(cli, async (command, args, options) => {
    exitCode = await runCommand(cli, command, args, options);
  });
  try {
    await program.parseAsync(words, { from: "user" });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 64;
    cli.printer.err(`causeway: ${sentenceOf(thrown)}\n`);
    return thrown instanceof UsageError ? 64 : 2;
  }
}

type Run = (command: Command, args: readonly string[], options: Options) => Promise<void>;

function toProgram({ commands, version, printer, terminal }: Cli, run: Run): Program {
  const program = new Program("causeway")
    .description("A control plane for Istio ambient meshes")
    .version(version, "-V, --version")
    .option("--timeout <duration>", `give up after this long, as 5s or 2m; ${TIMEOUT} by default`)
    .showHelpAfterError("(causeway --help lists commands and flags)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => printer.out(text),
      writeErr: (text) => printer.err(text),
      getOutHelpWidth: () => terminal.columns ?? HELP_COLUMNS,
      outputError: (text, write) => write(text.replace(/^error: /, "causeway: ")),
    });
  for (const command of commands) {
    if (!("commands" in command)) addCommand(program, command, run);
    else {
      const group = addWord(program, command);
      for (const member of command.commands)
        // Errors call it as the user did.
        addCommand(group, member, (_, ...call) => run({ ...member, name: `${command.name} ${member.name}` }, ...call));
    }
  }
  return program;
}

const addWord = (parent: Program, { name, summary }: Command | CommandGroup): Program =>
  parent.command(name).summary(summary).description(summary);

function addCommand(parent: Program, command: Command, run: Run): void {
  const word = addWord(parent, command);
  for (const alias of command.aliases ?? []) word.alias(alias);
  for (const arg of command.args ?? []) word.argument(arg);
  for (const flag of command.flags) word.addOption(toOption(flag));
  if (!command.flags.some(({ flags }) => flags.includes("--timeout")))
    word.addOption(new Option("--timeout <duration>", "give up after this long, as 5s or 2m"));
  if (command.examples !== undefined)
    word.addHelpText("after", `\nExamples:\n${command.examples.map((example) => `  ${example}\n`).join("")}`);
  word.action(() => run(command, word.args, word.optsWithGlobals<Options>()));
}

function toOption(flag: Flag): Option {
  const option = new Option(flag.flags, flag.description);
  if (flag.default !== undefined) option.default(flag.default);
  if (flag.choices !== undefined) option.choices(flag.choices);
  if (flag.repeated === true)
    option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);
  return option;
}

async function runCommand(cli: Cli, command: Command, args: readonly string[], options: Options): Promise<ExitCode> {
  const { clock, environment, interrupted, terminal } = cli;
  const limit = textOption(options, "timeout") ?? (command.endless === true ? undefined : TIMEOUT);
  const limitMs = limit === undefined ? undefined : parseDurationMs(limit);
  if (limit !== undefined && limitMs === undefined)
    throw new UsageError(`--timeout is "${limit}": give a duration above 0, as 500ms, 30s or 2m`);
  const timeUp = new AbortController();
  const timer = limitMs === undefined ? undefined : clock.after(limitMs, () => timeUp.abort());
  const signal = eitherSignal(interrupted, timeUp.signal);
  using progress = new Progress(clock, cli.printer, terminal);
  const printer = unmixed(cli.printer, progress);
  const call = { args, options, environment, printer, terminal, progress: progress.at.bind(progress), signal };
  let waitedFor = "";
  const graceMs = command.stopMs ?? (command.endless === true ? ENDLESS_GRACE_MS : GRACE_MS);
  try {
    const running = command.run(call);
    const code = await Promise.race([running, ignoring(clock, signal, graceMs)]);
    if (code !== undefined && (!timeUp.signal.aborted || command.endless === true)) return code;
    if (interrupted.aborted) return 2;
  } catch (thrown) {
    if (!signal.aborted || thrown instanceof UsageError) throw thrown;
    if (interrupted.aborted) return 2;
    waitedFor = waitedForIn(thrown);
  } finally {
    timer?.[Symbol.dispose]();
  }
  throw new MeshError(
    "timeout",
    `${command.name} did not finish within ${limit}${waitedFor}; give it longer with --timeout, or look at what it waits for`,
  );
}

/** What a command that waits for something still lacked. */
const waitedForIn = (thrown: unknown): string =>
  thrown instanceof MeshError && typeof thrown.detail["waitedFor"] === "string"
    ? `: ${thrown.detail["waitedFor"]}`
    : "";

/** Results and errors never share a line with what is being done. */
const unmixed = (printer: Printer, progress: Progress): Printer => ({
  out(text) {
    progress.erase();
    printer.out(text);
  },
  err(text) {
    progress.erase();
    printer.err(text);
  },
});

/** Resolves when a command that was told to stop has had its time to do so. */
function ignoring(clock: Clock, signal: AbortSignal, graceMs: number): Promise<undefined> {
  return new Promise((resolve) => {
    const wait = () => void clock.after(graceMs, () => resolve(undefined));
    if (signal.aborted) wait();
    else signal.addEventListener("abort", wait, { once: true });
  });
}

/** A failure that nobody foresaw is a defect: whoever reports it needs to say where. */
function sentenceOf(thrown: unknown): string {
  if (thrown instanceof MeshError) return thrown.message;
  const where = thrown instanceof Error ? (thrown.stack ?? "").split("\n").slice(1).join("\n") : "";
  return `a defect in causeway: ${messageOf(thrown)}\n${where}`.trimEnd();
}
