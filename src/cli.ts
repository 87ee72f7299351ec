import { CommanderError } from "commander";
import type { Command, CommandGroup, Environment, ExitCode, Options, Printer, Terminal } from "./command.ts";
import { textOption, UsageError } from "./command.ts";
import { parseDurationMs } from "./duration.ts";
import { eitherSignal } from "./either-signal.ts";
import { HalfDoneError, MeshError, messageOf } from "./errors.ts";
import type { Clock } from "./host.ts";
import { helpOf, meantWords, toProgram } from "./program.ts";
import { Progress } from "./progress.ts";

/** What `--timeout` is unless given: longer than any command needs on a healthy mesh. */
const TIMEOUT = "30s";
/** How long a command that was told to stop may take to close what it has open; an endless one has clients to drain. */
const GRACE_MS = 500;
const ENDLESS_GRACE_MS = 5000;

/** What can stop us from outside; a shell adds 128 to the number of a signal. */
export type Interruption = "SIGINT" | "SIGTERM" | "SIGPIPE";
const STOPPED = { SIGINT: 130, SIGTERM: 143, SIGPIPE: 141 } as const satisfies Record<Interruption, ExitCode>;

export interface Cli {
  readonly commands: readonly (Command | CommandGroup)[];
  readonly version: string;
  readonly clock: Clock;
  readonly printer: Printer;
  readonly terminal: Terminal;
  readonly environment: Environment;
  /** Aborts when the user wants to stop: the first Ctrl-C. Its reason is an `Interruption`. */
  readonly interrupted: AbortSignal;
}

/** Runs what `words` say: the command line after the program's name. Never throws; every failure is one sentence. */
export async function runCli(cli: Cli, words: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  let called: string | undefined;
  const program = toProgram({ ...cli, timeout: TIMEOUT }, async (command, args, options) => {
    called = command.name;
    exitCode = await runCommand(cli, command, args, options);
  });
  try {
    await program.parseAsync(meantWords(cli.commands, words), { from: "user" });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 64;
    cli.printer.err(`causeway: ${sentenceOf(thrown)}\n`);
    if (!(thrown instanceof UsageError)) return 2;
    if (called !== undefined) cli.printer.err(`${helpOf(called)}\n`);
    return 64;
  }
}

async function runCommand(cli: Cli, command: Command, args: readonly string[], options: Options): Promise<ExitCode> {
  const { clock, environment, interrupted, terminal } = cli;
  const endless = typeof command.endless === "function" ? command.endless(options) : command.endless === true;
  const limit = textOption(options, "timeout") ?? (endless ? undefined : TIMEOUT);
  const limitMs = limit === undefined ? undefined : parseDurationMs(limit);
  if (limit !== undefined && limitMs === undefined)
    throw new UsageError(`--timeout is "${limit}": give a duration above 0, as 500ms, 30s or 2m`);
  const timeUp = new AbortController();
  const timer = limitMs === undefined ? undefined : clock.after(limitMs, () => timeUp.abort());
  const signal = eitherSignal(interrupted, timeUp.signal);
  using progress = new Progress(clock, cli.printer, terminal);
  const printer = unmixed(cli.printer, progress);
  const call = { args, options, environment, printer, terminal, progress: progress.at.bind(progress), signal };
  const graceMs = command.stopMs ?? (endless ? ENDLESS_GRACE_MS : GRACE_MS);
  let [late, waitedFor, done] = [false, "", ""];
  try {
    const code = await Promise.race([command.run(call), ignoring(clock, signal, graceMs)]);
    // What ends without an end of its own was asked to stop, and did; what else was stopped may have done a part.
    if (code !== undefined && (!signal.aborted || endless)) return code;
    late = code === undefined && endless;
  } catch (thrown) {
    if (!signal.aborted || thrown instanceof UsageError) throw thrown;
    waitedFor = waitedForIn(thrown);
    if (thrown instanceof HalfDoneError) done = `. ${thrown.message}`;
  } finally {
    timer?.[Symbol.dispose]();
  }
  const doing = (progress.doing === "" ? "" : ` while ${progress.doing}`) + waitedFor;
  if (!interrupted.aborted) throw outOfTime(command, `${limit}${doing}`, done);
  const stopped = interruptionOf(interrupted.reason);
  const how = late
    ? `, and had not closed all that it has open ${graceMs / 1000} s later`
    : `${doing}; it is unfinished${done}`;
  // Of a closed pipe nobody is left who would read it.
  if (stopped !== "SIGPIPE") printer.err(`causeway: ${command.name} was stopped${how}\n`);
  return STOPPED[stopped];
}

const outOfTime = ({ name }: Command, limit: string, done: string): MeshError =>
  new MeshError(
    "timeout",
    `${name} did not finish within ${limit}; give it longer with --timeout, or look at what it waits for${done}`,
  );

/** What a command that waits for something still lacked. */
const waitedForIn = (thrown: unknown): string =>
  thrown instanceof MeshError && typeof thrown.detail["waitedFor"] === "string"
    ? `: ${thrown.detail["waitedFor"]}`
    : "";

const interruptionOf = (reason: unknown): Interruption =>
  reason === "SIGTERM" || reason === "SIGPIPE" ? reason : "SIGINT";

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
