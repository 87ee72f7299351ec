import { runCli } from "../../src/cli.ts";
import { type ExitCode, NO_TERMINAL } from "../../src/command.ts";
import { caCommands } from "../../src/commands/ca.ts";
import { systemClock, systemRandom } from "../../src/system-host.ts";
import { folderOf } from "./folder.ts";

export interface CaRan {
  readonly code: ExitCode;
  readonly out: string;
  readonly err: string;
}

/** A folder in which `causeway ca` is called, at a time that a test moves: `laterMs` after the machine's. */
export async function caLab() {
  const folder = await folderOf({});
  const lab = {
    at: (name: string): string => folder.at(name),
    laterMs: 0,
    now: (): number => Date.now() + lab.laterMs,
    /** Words that begin with `@` are paths in the folder. */
    async ca(...words: readonly string[]): Promise<CaRan> {
      const [out, err]: [string[], string[]] = [[], []];
      const clock = { ...systemClock, now: lab.now };
      const cli = {
        commands: [caCommands({ clock, random: systemRandom })],
        version: "1.2.3",
        clock: systemClock,
        printer: { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) },
        terminal: NO_TERMINAL,
        progress: () => {},
        environment: {},
        interrupted: new AbortController().signal,
      };
      const code = await runCli(cli, ["ca", ...words.map((word) => word.replace(/^@/, `${folder.path}/`))]);
      return { code, out: out.join(""), err: err.join("") };
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
  return lab;
}
