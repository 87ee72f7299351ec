import { type CompletedFlag, CONTEXTS_COMMAND, type FlagValue, type Place, stepsOf } from "./words.ts";

/** @returns a script for `causeway completion fish | source`. */
export const fishScript = (places: readonly Place[]): string => `\
# fish: causeway completion fish | source, or keep it as ~/.config/fish/completions/causeway.fish
function __causeway_at
    set -l at ""
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
${stepsOf(places)
  .map(({ from, typed, to }) => `            case ${quoted(`${from} ${typed}`)}\n                set at ${quoted(to)}`)
  .join("\n")}
        end
    end
    test "$at" = "$argv[1]"
end
complete -c causeway -f
${places.flatMap(placeLines).join("\n")}
`;

const placeLines = ({ path, words, flags }: Place): readonly string[] => [
  ...words.map(({ name, summary }) => `${at(path)} -a ${quoted(name)} -d ${quoted(summary)}`),
  ...flags.map((flag) => `${at(path)} ${flagWords(flag)} -d ${quoted(flag.description)}`),
];

const at = (path: string): string => `complete -c causeway -n ${quoted(`__causeway_at ${quoted(path)}`)}`;

const flagWords = ({ long, short, value }: CompletedFlag): string =>
  [`-l ${long.slice(2)}`, ...(short === undefined ? [] : [`-s ${short.slice(1)}`]), ...valueWords(value)].join(" ");

function valueWords(value: FlagValue): readonly string[] {
  if (value.kind === "none") return [];
  if (value.kind === "choice") return [`-x -a ${quoted(value.choices.join(" "))}`];
  if (value.kind === "context") return [`-x -a ${quoted(`(${CONTEXTS_COMMAND})`)}`];
  if (value.kind === "folder") return [`-x -a ${quoted("(__fish_complete_directories)")}`];
  return [value.kind === "file" ? "-r -F" : "-x"];
}

const quoted = (text: string): string => `'${text.replace(/\\/g, "\\\\").replace(/'/g, "\\'")}'`;
