import { type Command, type CommandGroup, UsageError } from "../command.ts";
import { printable } from "../printable.ts";
import { bashScript } from "./completion/bash.ts";
import { fishScript } from "./completion/fish.ts";
import { type Place, placesOf } from "./completion/words.ts";
import { zshScript } from "./completion/zsh.ts";

const SHELLS: Readonly<Record<string, (places: readonly Place[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/** `causeway completion`: what a shell needs to complete our words, flags and their values. @param all every command. */
export const completionCommand = (all: () => Promise<readonly (Command | CommandGroup)[]>): Command => ({
  name: "completion",
  summary: "print what bash, zsh or fish needs to complete commands, flags and contexts",
  args: ["<shell>"],
  flags: [],
  examples: ["source <(causeway completion bash)", "causeway completion fish | source"],
  async run({ args: [shell = ""], printer }) {
    if (!Object.hasOwn(SHELLS, shell))
      throw new UsageError(`there is no completion for "${printable(shell, 40)}": give bash, zsh or fish`);
    printer.out(SHELLS[shell]!(placesOf(await all())));
    return 0;
  },
});
