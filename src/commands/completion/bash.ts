import { type CompletedFlag, CONTEXTS_COMMAND, type FlagValue, type Place, stepsOf } from "./words.ts";

/** @returns a script for `source <(causeway completion bash)`. */
export const bashScript = (places: readonly Place[]): string => `\
# bash: source <(causeway completion bash), or keep it in /etc/bash_completion.d/causeway
_causeway() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at="" word offered=""
  COMPREPLY=()
  [[ $cur == "=" ]] && cur=""
  [[ $prev == "=" ]] && prev=\${COMP_WORDS[COMP_CWORD-2]}
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$at $word" in
${stepsOf(places)
  .map(({ from, typed, to }) => `      "${from} ${typed}") at="${to}" ;;`)
  .join("\n")}
    esac
  done
  case "$at $prev" in
${places.flatMap(({ path, flags }) => flags.flatMap((flag) => valueCase(path, flag))).join("\n")}
  esac
  case "$at" in
${places.map(placeCase).join("\n")}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$cur")
}
complete -F _causeway causeway
`;

function valueCase(path: string, { long, short, value }: CompletedFlag): readonly string[] {
  if (value.kind === "none") return [];
  const typed = [long, ...(short === undefined ? [] : [short])].map((flag) => `"${path} ${flag}"`);
  return [`    ${typed.join("|")}) ${replies(value)} return ;;`];
}

function replies(value: FlagValue): string {
  const from = (compgen: string) => `mapfile -t COMPREPLY < <(compgen ${compgen} -- "$cur");`;
  if (value.kind === "choice") return from(`-W "${value.choices.join(" ")}"`);
  if (value.kind === "file") return from("-f");
  if (value.kind === "folder") return from("-d");
  return value.kind === "context" ? from(`-W "$(${CONTEXTS_COMMAND})"`) : "";
}

function placeCase({ path, words, flags }: Place): string {
  const named = words.map(({ name }) => name).join(" ");
  const dashed = flags.map(({ long }) => long).join(" ");
  return `    "${path}") if [[ $cur == -* ]]; then offered="${dashed}"; else offered="${named}"; fi ;;`;
}
