import { runCli } from "../../src/cli.ts";
import { type Command, type CommandGroup, NO_TERMINAL } from "../../src/command.ts";
import { systemClock } from "../../src/system-host.ts";

/** The same command, which does nothing. */
const idle = (command: Command): Command => ({ ...command, run: () => Promise.resolve(0) });
/** The command line with commands that take their flags and values, and do nothing. */
export const idleEntry = (entry: Command | CommandGroup): Command | CommandGroup =>
  "commands" in entry ? { ...entry, commands: entry.commands.map(idle) } : idle(entry);

/** What the command line says against these words; empty if nothing. */
export async function refusal(
  commands: readonly (Command | CommandGroup)[],
  words: readonly string[],
): Promise<string> {
  const err: string[] = [];
  const printer = { out: () => {}, err: (text: string) => void err.push(text) };
  const cli = { commands, version: "1", clock: systemClock, printer, terminal: NO_TERMINAL, environment: {} };
  const code = await runCli({ ...cli, interrupted: new AbortController().signal }, words);
  return code === 0 ? "" : err.join("").split("\n", 1)[0]!;
}
