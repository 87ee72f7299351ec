import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, suiteSetup, test } from "mocha";
import { calledCommands } from "../../src/commands/called.ts";
import type { Finding } from "../../src/inspect/finding.ts";
import { checkCodes } from "../kits/check-codes.ts";
import { ownCalls } from "../kits/docs-pages.ts";
import { folderOf } from "../kits/folder.ts";
import { idleEntry, refusal } from "../kits/idle-commands.ts";
import { CheckLab } from "./check-lab.ts";
import { CODE_CASES, type CodeCase } from "./code-cases.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const golden = join(root, "test", "inspect", "golden", "codes.txt");
type Said = Finding & { readonly documentation: string };

/** What JSON says, of clusters as they run and of the folder that a bug report would hold. */
async function saidOf({ edit, precheck = false, files }: CodeCase): Promise<readonly [live: Said[], offline: Said[]]> {
  const lab = await CheckLab.open(edit);
  await using folder = await folderOf(files ?? {});
  const read = async (options: object): Promise<Said[]> => {
    const { out } = await lab.check({ output: "json", precheck, ...options });
    // The folder is made of another look, some seconds later.
    const alike = out.replaceAll(folder.path, "FOLDER").replace(/\b\d+ s ago/g, "<n> s ago");
    return (JSON.parse(alike) as { findings: Said[] }).findings;
  };
  const there = { directory: [folder.at(files === undefined ? "" : "east")] };
  if (files !== undefined) return [await read(there), await read(there)];
  await lab.written(folder.path);
  return [await read({}), await read(there)];
}

const codeOf = (name: string): string => name.slice(0, "CWY0000".length);

function textOf(name: string, { level, cluster, object, field, evidence, fix, documentation }: Said): string {
  const lines = [
    `${name}: ${level}, ${cluster === undefined ? "of all clusters" : `cluster ${cluster}`}`,
    `  object: ${object}${field === "" ? "" : `, ${field}`}`,
    `  evidence: ${evidence}`,
    ...(fix === "" ? [] : [`  fix: ${fix}`]),
    `  see: ${documentation}`,
  ];
  return `${lines.join("\n")}\n`;
}

suite("Every code of multicluster check", () => {
  const found = new Map<string, Said>();
  suiteSetup(async function () {
    this.timeout(120_000);
    for (const [name, each] of Object.entries(CODE_CASES)) {
      const [live, offline] = await saidOf(each);
      const ours = (said: readonly Said[]): Said[] => said.filter(({ code }) => code === codeOf(name));
      assert.deepEqual(ours(offline), ours(live), `${name} is said otherwise of a folder`);
      if (ours(live)[0] !== undefined) found.set(name, ours(live)[0]!);
    }
  });

  test("has a case, and the case finds it", () => {
    const names = Object.keys(CODE_CASES);
    const codes = [...checkCodes()].sort();
    assert.ok(codes.length > 80, `${codes.length}`);
    assert.deepEqual([...new Set(names.map(codeOf))].sort(), codes);
    assert.deepEqual(
      names.filter((name) => !found.has(name)),
      [],
    );
  });

  test("says its object, what was seen, what mends it and where more is said, word for word", () => {
    const actual = [...found].map(([name, said]) => textOf(name, said)).join("\n");
    if (process.env["UPDATE"] === "1") writeFileSync(golden, actual);
    assert.equal(actual, readFileSync(golden, "utf8"));
  });

  test("has something that mends it if it is wrong, and of commands those that can be pasted as they stand", async () => {
    const commands = (await calledCommands([], 1)).map(idleEntry);
    const wrong: string[] = [];
    let calls = 0;
    for (const [name, { level, fix }] of found) {
      if ((level === "error" || level === "warning") && fix === "") wrong.push(`${name}: no fix`);
      for (const part of fix.split(/; |: /)) {
        const words = part.split(" ");
        if (words[0] === "kubectl" && !KUBECTL.test(part)) wrong.push(`${name}: ${part}`);
        if (!PROGRAMS.has(words[0]!) && words.some((word) => PROGRAMS.has(word)))
          wrong.push(`${name}: within words: ${part}`);
        for (const call of ownCalls({ text: part })) {
          calls++;
          const said = await refusal(commands, call);
          if (said !== "") wrong.push(`${name}: ${part}: ${said}`);
        }
      }
    }
    assert.ok(calls > 10, `only ${calls} calls were found`);
    assert.deepEqual(wrong, []);
  });

  test("names only pages that there are, and reasons that they have", () => {
    const named = [...found.values()].flatMap(({ fix }) => [...fix.matchAll(/(docs\/\S+\.md)(?:.* about (\w+))?/g)]);
    assert.ok(named.length > 4);
    for (const [, page, reason = ""] of named)
      assert.ok(readFileSync(join(root, page!), "utf8").includes(reason), `${page} ${reason}`);
  });
});

const PROGRAMS: ReadonlySet<string> = new Set(["causeway", "kubectl", "helm"]);
/** What of kubectl is asked for: a verb that it has, with its flags. */
const KUBECTL =
  /^kubectl(?: --context [\w-]+)?(?: -n [\w-]+)? (?:version|auth (?:whoami|can-i (?:list|watch|get|create|patch) \S+(?: --as=\S+)? -A)|set env (?:deployment|daemonset)\/[\w-]+ \w+(?:-|=\S+)|rollout (?:restart|status) (?:deployment|daemonset)\/[\w-]+|logs \S+(?: --previous)?|(?:describe|delete) [a-z]+ \S+|annotate [a-z]+ \S+ [\w./-]+-|label --overwrite [a-z]+ \S+ [\w./-]+=\S+|get [a-z,]+(?: [\w-]+| -A)?|create secret generic cacerts --from-file=\S+ --dry-run=client -o yaml \| kubectl(?: --context [\w-]+)? apply -f -|apply -f deploy\/rbac\/[\w-]+\.yaml)$/;
