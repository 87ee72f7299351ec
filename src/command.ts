/** 0 all is well, 1 the command ran and found something, 2 it could not run, 64 it was called wrongly. */
export type ExitCode = 0 | 1 | 2 | 64;

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
}

/** One word of the command line; it lives with its subject. */
export interface Command {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** Positional arguments, as `<type>` or `[name]`. */
  readonly args?: readonly string[];
  readonly flags: readonly Flag[];
  /** Resolves when done. Must stop when `signal` aborts: a time limit, or the user's Ctrl-C. */
  run(call: CommandCall): Promise<ExitCode>;
}

export interface CommandCall {
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly printer: Printer;
  readonly signal: AbortSignal;
}
