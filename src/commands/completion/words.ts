import type { Command, CommandGroup, Flag } from "../../command.ts";

/** What can stand at one place of the command line. */
export interface Place {
  /** The words before it, as `multicluster check`; empty for the first one. */
  readonly path: string;
  readonly words: readonly Word[];
  readonly flags: readonly CompletedFlag[];
}

export interface Word {
  readonly name: string;
  /** Other spellings of it. */
  readonly aliases: readonly string[];
  readonly summary: string;
}

export interface CompletedFlag {
  /** As `--output`. */
  readonly long: string;
  /** As `-o`. */
  readonly short: string | undefined;
  readonly description: string;
  readonly value: FlagValue;
}

/** What follows a flag; `none` if it is a flag alone, or need not be followed. */
export type FlagValue =
  | { readonly kind: "none" | "any" | "file" | "folder" | "context" }
  | { readonly kind: "choice"; readonly choices: readonly string[] };

/** Flags that every command has. */
const COMMON: readonly Flag[] = [
  { flags: "--timeout <duration>", description: "give up after this long, as 5s or 2m" },
  { flags: "-h, --help", description: "what there is to say" },
];

/** Every place of the command line, the first one first. */
export function placesOf(entries: readonly (Command | CommandGroup)[]): readonly Place[] {
  const first: Place = { path: "", words: entries.map(wordOf), flags: COMMON.map(flagOf) };
  return [first, ...entries.flatMap((entry) => ("commands" in entry ? groupPlaces(entry) : [placeOf(entry, "")]))];
}

const groupPlaces = (group: CommandGroup): readonly Place[] => [
  { path: group.name, words: group.commands.map(wordOf), flags: COMMON.map(flagOf) },
  ...group.commands.map((command) => placeOf(command, `${group.name} `)),
];

const placeOf = ({ name, flags }: Command, before: string): Place => ({
  path: before + name,
  words: [],
  flags: [...flags, ...COMMON.filter((common) => !flags.some((own) => longOf(own) === longOf(common)))].map(flagOf),
});

const wordOf = (entry: Command | CommandGroup): Word => ({
  name: entry.name,
  aliases: ("aliases" in entry && entry.aliases) || [],
  summary: entry.summary,
});

const longOf = ({ flags }: Flag): string => /--[\w-]+/.exec(flags)![0];

const flagOf = (flag: Flag): CompletedFlag => ({
  long: longOf(flag),
  short: /^-\w\b/.exec(flag.flags)?.[0],
  description: flag.description,
  value: valueOf(flag),
});

function valueOf({ flags, choices }: Flag): FlagValue {
  if (choices !== undefined) return { kind: "choice", choices };
  const value = /<([^>]+)>/.exec(flags)?.[1];
  if (value === undefined) return { kind: "none" };
  if (/^--contexts?\b/.test(flags)) return { kind: "context" };
  if (/^dir$|^folder$/.test(value)) return { kind: "folder" };
  return { kind: /^(file|path|archive)$/.test(value) ? "file" : "any" };
}

/** Each step from one place to the next: the place, what may be typed there, and the place that it leads to. */
export function stepsOf(places: readonly Place[]): readonly { from: string; typed: string; to: string }[] {
  return places.flatMap(({ path, words }) =>
    words.flatMap(({ name, aliases }) =>
      [name, ...aliases].map((typed) => ({ from: path, typed, to: path === "" ? name : `${path} ${name}` })),
    ),
  );
}

/** Contexts of the operator's kubeconfig, by the tool that knows them. */
export const CONTEXTS_COMMAND = "kubectl config get-contexts -o name 2>/dev/null";
