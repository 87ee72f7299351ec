import { type CompletedFlag, CONTEXTS_COMMAND, type FlagValue, type Place, stepsOf } from "./words.ts";

/** @returns a script for `source <(causeway completion zsh)`, or a file `_causeway` in `fpath`. */
export const zshScript = (places: readonly Place[]): string => `\
#compdef causeway
# zsh: source <(causeway completion zsh), or keep it as _causeway in a folder of fpath
_causeway() {
  local at="" word typed
  local -a offered
  for word in \${words[2,CURRENT-1]}; do
    case "$at $word" in
${stepsOf(places)
  .map(({ from, typed, to }) => `      ("${from} ${typed}") at="${to}" ;;`)
  .join("\n")}
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${places.flatMap(({ path, flags }) => flags.flatMap((flag) => valueCase(path, flag))).join("\n")}
  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    case "$at" in
${places
  .map(({ path, flags }) =>
    placeCase(
      path,
      flags.map(({ long, description }) => [long, description]),
    ),
  )
  .join("\n")}
    esac
    _describe -o flag offered
  else
    case "$at" in
${places
  .map(({ path, words }) =>
    placeCase(
      path,
      words.map(({ name, summary }) => [name, summary]),
    ),
  )
  .join("\n")}
    esac
    _describe command offered
  fi
}
if [ "$funcstack[1]" = "_causeway" ]; then _causeway; else compdef _causeway causeway; fi
`;

function valueCase(path: string, { long, short, value }: CompletedFlag): readonly string[] {
  if (value.kind === "none") return [];
  const typed = [long, ...(short === undefined ? [] : [short])].map((flag) => `"${path} ${flag}"`);
  return [`    (${typed.join("|")}) ${replies(value)} return ;;`];
}

function replies(value: FlagValue): string {
  if (value.kind === "choice") return `compadd -- ${value.choices.join(" ")};`;
  if (value.kind === "file") return "_files;";
  if (value.kind === "folder") return "_files -/;";
  return value.kind === "context" ? `compadd -- \${(f)"$(${CONTEXTS_COMMAND})"};` : "";
}

const placeCase = (path: string, offered: readonly (readonly [string, string])[]): string =>
  `      ("${path}") offered=(${offered.map(([name, about]) => quoted(`${name}:${about}`)).join(" ")}) ;;`;

const quoted = (text: string): string => `'${text.replace(/'/g, "'\\''")}'`;
