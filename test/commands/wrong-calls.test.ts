import assert from "node:assert/strict";
import { test } from "mocha";
import { runCli } from "../../src/cli.ts";
import { NO_TERMINAL } from "../../src/command.ts";
import { calledCommands } from "../../src/commands/called.ts";
import { systemClock } from "../../src/system-host.ts";

/** Runs a whole command line, with a kubeconfig that is not there: whoever asks a cluster first gets no further. */
async function call(line: string): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const words = line.split(" ");
  let [out, err] = ["", ""];
  const code = await runCli(
    {
      commands: await calledCommands(words, 1),
      version: "1.2.3",
      clock: systemClock,
      printer: { out: (text) => void (out += text), err: (text) => void (err += text) },
      terminal: NO_TERMINAL,
      environment: { KUBECONFIG: "/nonexistent/kubeconfig" },
      interrupted: new AbortController().signal,
    },
    words,
  );
  return { code, out, err };
}

/** What of a command line is wrong by itself, whatever there is to read: it ends with 64, and nothing was asked. */
const WRONG: readonly (readonly [line: string, said: RegExp])[] = [
  ["workloads --admin foo", /--admin is "foo": give a URL/],
  ["workloads --admin http://a --context b", /--admin says where to ask, and so does --context/],
  ["proxy-status --contexts a,a", /--contexts names a twice/],
  ["explain cart", /"cart" is no host/],
  ["explain cart.shop --from web", /--from is "web": give a pod as namespace\/name/],
  ["explain cart.shop --peer-admin foo", /--peer-admin is "foo": give a URL/],
  ["multicluster diff s1 --contexts a,b", /"s1" names no service: give it as shop\/cart/],
  ["multicluster diff s1 --directory /nonexistent", /"s1" names no service/],
  ["multicluster diff shop/cart", /a difference takes two clusters: name them, as --contexts east,west/],
  ["multicluster expose --cluster a/b", /--cluster is "a\/b": use letters/],
  ["multicluster expose --network a/b", /--network is "a\/b": use letters/],
  ["multicluster expose --name A", /--name is "A": a name is lower case letters/],
  ["multicluster link --contexts a,b --address foo", /--address is "foo": give <context>=<value>/],
  ["multicluster link --contexts a,b --address c=foo", /--address names context "c", which is none of a, b/],
  ["multicluster link --contexts a,b --locality a=/", /--locality says "\/": give region/],
  ["multicluster link --contexts a", /it takes two clusters/],
  ["multicluster link --offer --accept x", /--offer and --accept are for two clusters/],
  ["multicluster link --offer --contexts a,b", /--offer is about one cluster/],
  ["multicluster link --accept x --from a", /--accept is about one cluster, so it has no --from/],
  ["multicluster link --offer --dry-run", /--offer has no --dry-run: leave it out/],
  ["multicluster link --offer --one-way", /--offer has no --one-way: leave it out/],
  ["multicluster link --offer --for 169h", /--for is "169h": give a duration up to 168h/],
  ["multicluster link --offer --address a=gw.example", /--address names the context that it is about/],
  ["multicluster link --accept x --locality a=eu", /--accept has no --locality: leave it out/],
  ["multicluster link --accept hello", /--accept: the offer is none that link --offer prints/],
  ["multicluster link --contexts a,b --for 2h", /--for is for --offer and --accept: add it, or leave it out/],
  ["multicluster link --contexts a,b --replace", /--replace is for --accept: add it, or leave it out/],
  ["multicluster check --wait soon", /--wait is "soon"/],
  ["multicluster drill begin", /there is no drill "begin": give start, stop or status/],
  ["multicluster topology --admin ftp://a", /--admin is "ftp:\/\/a": give a URL/],
  ["check trust --gateway foo", /--gateway is "foo": give host and port, as 10.0.0.1:15008 or \[fd00::1\]:15008/],
  ["create-remote-secret --server ftp://a", /--server is "ftp:\/\/a": give a URL/],
  ["token --service-account a --duration 48h", /a token is good for 24h at most/],
  ["watch wds --plaintext", /--plaintext needs --address/],
  ["watch wds --plaintext --address foo", /--address is "foo": give host and port, as 127.0.0.1:15012/],
  ["watch cds", /there is no type "cds"/],
  ["bug-report --since 999h", /--since is "999h"/],
  ["completion tcsh", /there is no completion for "tcsh"/],
  ["trust token --cluster a --ttl 5h", /--ttl is "5h"/],
];

for (const [line, said] of WRONG)
  test(`called wrongly: causeway ${line}`, async () => {
    const { code, out, err } = await call(line);
    assert.match(err, said);
    assert.equal(code, 64, err);
    assert.equal(out, "");
    const [command] = /^(?:(?:multicluster|check|trust) )?[a-z-]+/.exec(line)!;
    assert.ok(err.endsWith(`\n(causeway ${command} --help lists its flags)\n`), err);
  });

test("what only turns out to be wrong when it is read is no wrong call", async () => {
  for (const line of ["workloads --context a", "replay /nonexistent", "ca verify --dir /nonexistent"]) {
    const { code, err } = await call(line);
    assert.equal(code, 2, err);
    assert.doesNotMatch(err, /--help/);
  }
});

test("a command of a group that is called without it is told where it is", async () => {
  const { code, err } = await call("unlink --contexts a,b");
  assert.equal(code, 64);
  assert.match(err, /^causeway: unknown command 'unlink'\n\(Did you mean multicluster unlink\?\)\n/);
});
