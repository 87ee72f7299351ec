import { MeshError } from "./errors.ts";

/**
 * 0 all is well, 1 the command ran and found something, 2 it could not run, 64 it was called wrongly; 130, 141 and 143 it was
 * stopped before it was done: by Ctrl-C, because nobody reads what it prints any more, or by SIGTERM.
 */
export type ExitCode = 0 | 1 | 2 | 64 | 130 | 141 | 143;

/** Where a command writes; results go to `out`, progress and errors to `err`. */
export interface Printer {
  out(text: string): void;
  err(text: string): void;
}

export interface Flag {
  /** As commander reads it: `-o, --output <format>`. */
  readonly flags: string;
  readonly description: string;
  readonly default?: string | boolean;
  readonly choices?: readonly string[];
  /** May be given several times; its option is then a list. */
  readonly repeated?: boolean;
}

/** By the long name of the flag in camel case. */
export type Options = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
export type Environment = Readonly<Record<string, string | undefined>>;

/** One word of the command line; it lives with its subject. */
export interface Command {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** Positional arguments, as `<type>` or `[name]`. */
  readonly args?: readonly string[];
  readonly flags: readonly Flag[];
  /** Calls of it for its help and the reference page, as `causeway multicluster check --contexts east,west`. */
  readonly examples?: readonly string[];
  /**
   * Runs until it is stopped, always or with these options: there is no time limit unless `--timeout` sets one, and then `run`
   * says how it ended.
   */
  readonly endless?: boolean | ((options: Options) => boolean);
  /** How long it may take to end once it was told to, in milliseconds; by default what closing a few things takes. */
  readonly stopMs?: number;
  /**
   * Resolves when done. Must stop when `signal` aborts: a time limit, or the user's Ctrl-C.
   * @throws UsageError if it was called wrongly, MeshError if it could not do its work.
   */
  run(call: CommandCall): Promise<ExitCode>;
}

/** Commands that share their first word. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly Command[];
}

export interface CommandCall {
  readonly args: readonly string[];
  readonly options: Options;
  readonly environment: Environment;
  readonly printer: Printer;
  readonly terminal: Terminal;
  /** Says what is being done, as `asking cluster east`; seen only at a terminal, and only once it takes over a second. */
  readonly progress: (doing: string) => void;
  readonly signal: AbortSignal;
}

/** Where results are read. */
export interface Terminal {
  /** How wide it is; undefined if results go to a file or a pipe, where nothing is cut. */
  readonly columns: number | undefined;
  /** Only for people who can see it and did not set NO_COLOR. */
  readonly colour: boolean;
  /** How wide standard error is, if it is a terminal where a line can be taken back; else undefined. */
  readonly progressColumns: number | undefined;
}

/** A file or a pipe. */
export const NO_TERMINAL: Terminal = { columns: undefined, colour: false, progressColumns: undefined };

/** The command line, or a variable, is wrong: exit code 64. The message names what, its value and the fix. */
export class UsageError extends MeshError {
  constructor(message: string, options?: ErrorOptions) {
    super("invalid", message, {}, options);
  }
}

/** The value of a flag that takes one. */
export function textOption(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

/** The values of a repeated flag, in order. */
export function listOption(options: Options, name: string): readonly string[] {
  const value = options[name];
  return typeof value === "string" ? [value] : typeof value === "object" ? value : [];
}
