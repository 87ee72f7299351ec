import type { EpochMs, Log, LogFields, Logger, LogLevel } from "./host.ts";
import { LOG_LEVELS, LOG_SCOPES, type LogLevels } from "./log-levels.ts";
import { jsonLine, type LogEntry, textLine } from "./log-line.ts";

export interface LogScope {
  readonly name: string;
  readonly description: string;
  readonly level: LogLevel;
}

export interface LogOutput {
  /** Fractions are microseconds. */
  now(): EpochMs;
  /** Takes one whole line; it must not throw. */
  write(line: string): void;
}

/** The scopes of the log; what each may say can change at any time. */
export class LogScopes implements Log {
  readonly #loggers = new Map<string, ScopeLogger>();
  readonly #levels: Map<string, LogLevel>;
  readonly #write: (entry: Omit<LogEntry, "at">) => void;
  #default: LogLevel;

  constructor(output: LogOutput, levels: LogLevels, asJson = false) {
    this.#levels = new Map(levels.scopes);
    this.#default = levels.default;
    const format = asJson ? jsonLine : textLine;
    this.#write = (entry) => output.write(format({ ...entry, at: output.now() }));
  }

  scope(name: string): Logger {
    let logger = this.#loggers.get(name);
    if (logger === undefined) {
      logger = new ScopeLogger(name, this.#write);
      logger.loudest = LOG_LEVELS.indexOf(this.level(name));
      this.#loggers.set(name, logger);
    }
    return logger;
  }

  /** Every scope that is known or was asked for, and `default`, by name. */
  list(): readonly LogScope[] {
    const names = new Set(["default", ...Object.keys(LOG_SCOPES), ...this.#loggers.keys()]);
    return [...names].sort().map((name) => ({
      name,
      description: name === "default" ? "Every scope without a level of its own" : (LOG_SCOPES[name] ?? ""),
      level: this.level(name),
    }));
  }

  level(scope: string): LogLevel {
    return this.#levels.get(scope) ?? this.#default;
  }

  /** Holds from the next line on. Changing `default` changes every scope without a level of its own. */
  setLevel(scope: string, level: LogLevel): void {
    if (scope === "default") this.#default = level;
    else this.#levels.set(scope, level);
    for (const [name, logger] of this.#loggers) logger.loudest = LOG_LEVELS.indexOf(this.level(name));
  }
}

class ScopeLogger implements Logger {
  readonly #scope: string;
  readonly #write: (entry: Omit<LogEntry, "at">) => void;
  /** A place in LOG_LEVELS. */
  loudest = 0;

  constructor(scope: string, write: (entry: Omit<LogEntry, "at">) => void) {
    this.#scope = scope;
    this.#write = write;
  }

  enabled(level: LogLevel): boolean {
    return level !== "none" && LOG_LEVELS.indexOf(level) <= this.loudest;
  }
  debug(message: string, fields?: LogFields): void {
    this.#log("debug", message, fields);
  }
  info(message: string, fields?: LogFields): void {
    this.#log("info", message, fields);
  }
  warn(message: string, fields?: LogFields): void {
    this.#log("warn", message, fields);
  }
  error(message: string, fields?: LogFields): void {
    this.#log("error", message, fields);
  }

  #log(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (this.enabled(level)) this.#write({ level, scope: this.#scope, message, fields });
  }
}
