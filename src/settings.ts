import { isIP, isIPv4 } from "node:net";
import { type Environment, type Flag, listOption, type Options, textOption, UsageError } from "./command.ts";
import { messageOf } from "./errors.ts";
import { type LogLevels, parseLogLevels } from "./log-levels.ts";
import { printable } from "./printable.ts";

/** One thing that can be set: by its flag, else by its variable, else it has its default. */
export type Setting =
  | { readonly flag: Flag; readonly variable?: string }
  /** What few will ever set, and who does brings it along from istiod, has no flag. */
  | { readonly flag?: undefined; readonly variable: string };

/** A setting with a flag. */
export const setting = (flags: string, description: string, variable?: string, repeated = false) => ({
  flag: { flags, description: variable === undefined ? description : `${description} [${variable}]`, repeated },
  ...(variable !== undefined && { variable }),
});

/** A value, and where it was found: what an error must name. */
export interface Given {
  readonly text: string;
  /** As `--cluster` or `CLUSTER_ID`. */
  readonly from: string;
}

export function given({ flag, variable }: Setting, options: Options, environment: Environment): Given | undefined {
  const text = flag && textOption(options, optionName(flag));
  if (flag && text !== undefined) return { text, from: longFlag(flag) };
  // An empty variable is how charts leave a value out.
  const value = variable === undefined ? undefined : environment[variable];
  return value === undefined || value === "" ? undefined : { text: value, from: variable! };
}

export function allGiven({ flag }: { readonly flag: Flag }, options: Options): readonly Given[] {
  return listOption(options, optionName(flag)).map((text) => ({ text, from: longFlag(flag) }));
}

/** @throws UsageError always, with the place, the value and what would be right. */
export function refuse({ text, from }: Given, right: string): never {
  throw new UsageError(`${from} is "${printable(text, 120)}": ${right}`);
}

/** `text` if it matches. @throws UsageError */
export function matching(value: Given, pattern: RegExp, right: string): string {
  return pattern.test(value.text) ? value.text : refuse(value, right);
}

/** As istiod reads it. */
export function truthOf(value: Given): boolean {
  if (/^(1|t|T|true|True|TRUE)$/.test(value.text)) return true;
  return /^(0|f|F|false|False|FALSE)$/.test(value.text) ? false : refuse(value, "give true or false");
}

/** The words between commas, trimmed; empty ones left out. */
export function commaListOf({ text }: Given): readonly string[] {
  return text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

export function portOf(value: Given): number {
  const port = /^[0-9]{1,5}$/.test(value.text) ? Number(value.text) : 65536;
  return port <= 65535 ? port : refuse(value, "give a port from 1 to 65535, or 0 for any that is free");
}

/** Where something listens; an IPv6 address stands in brackets. @param example as `10.0.0.1:15008`. */
export function hostAndPortOf(value: Given, example: string): string {
  const [, port] = /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\]):([1-9][0-9]{0,4})$/i.exec(value.text) ?? [];
  if (port !== undefined && Number(port) <= 65_535) return value.text;
  const port6 = example.slice(example.lastIndexOf(":"));
  return refuse(value, `give host and port, as ${example} or [fd00::1]${port6}`);
}

export function ipOf(value: Given): string {
  return isIP(value.text) === 0 ? refuse(value, "give an IP address of this machine, as 127.0.0.1 or ::") : value.text;
}

/** Pods and services of an embedded cluster have IPv4 addresses. */
export function ipv4RangeOf(value: Given): string {
  const [ip, length, ...rest] = value.text.split("/");
  const right = "give an IPv4 range, as 10.244.0.0/16";
  if (ip === undefined || !isIPv4(ip) || length === undefined || rest.length > 0) return refuse(value, right);
  return /^[0-9]{1,2}$/.test(length) && Number(length) <= 32 ? value.text : refuse(value, right);
}

/** @throws UsageError, naming the part that is wrong. */
export function logLevelsOf({ text, from }: Given): LogLevels {
  try {
    return parseLogLevels(from, text);
  } catch (thrown) {
    throw new UsageError(messageOf(thrown), { cause: thrown });
  }
}

const longFlag = ({ flags }: Flag): string => /--[\w-]+/.exec(flags)![0];

/** What commander calls it. */
function optionName(flag: Flag): string {
  return longFlag(flag)
    .slice(2)
    .replace(/-+(.)/g, (_, letter: string) => letter.toUpperCase());
}
