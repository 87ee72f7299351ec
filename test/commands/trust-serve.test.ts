import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "mocha";
import { runCli } from "../../src/cli.ts";
import { NO_TERMINAL } from "../../src/command.ts";
import { trustCommands } from "../../src/commands/trust.ts";
import { systemClock, systemRandom } from "../../src/system-host.ts";
import { folderOf } from "../kits/folder.ts";
import { until } from "../kits/until.ts";

const OBJECTS = join(import.meta.dirname, "..", "..", "..", "examples", "trust");

/** `causeway trust …` in this process, until it ends or is interrupted. */
function begin(...words: readonly string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const interrupted = new AbortController();
  const ended = runCli(
    {
      commands: [trustCommands({ clock: systemClock, random: systemRandom }, process.pid)],
      version: "1.2.3",
      clock: systemClock,
      printer: { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) },
      terminal: NO_TERMINAL,

      environment: { HOME: "/nowhere" },
      interrupted: interrupted.signal,
    },
    ["trust", ...words],
  );
  return { ended, said: () => err.join(""), told: () => out.join(""), interrupt: () => interrupted.abort() };
}

const serve = (state: string) =>
  begin(
    ...["serve", "--manifests", OBJECTS, "--state", state, "--listen", "127.0.0.1", "--log_output_level", "none"],
    ...["--relay-port", "0", "--admin-port", "0", "--health-port", "0"],
  );

test("a trust manager is found by its state folder, and a second one on that folder is refused", async () => {
  await using folder = await folderOf({});
  const manager = serve(folder.path);
  try {
    await until(() => manager.said().includes("is ready"));
    const status = begin("status", "--state", folder.path);
    assert.equal(await status.ended, 0, status.said());
    assert.match(status.told(), /RootTrustPolicy gloo-mesh\/shared-trust: ACCEPTED/);
    assert.match(status.told(), /It is kept in .*causeway-trust-root.*: back that up\./);

    const second = serve(folder.path);
    assert.equal(await second.ended, 2);
    assert.match(
      second.said(),
      /is the state folder of the .* at http:\/\/127\.0\.0\.1:\d+ \(process \d+\); stop that one, or choose another/,
    );
  } finally {
    manager.interrupt();
  }
  assert.equal(await manager.ended, 0);
});
