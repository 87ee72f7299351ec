import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import type { LogFields } from "../src/host.ts";
import { LOG_SCOPES, parseLogLevels } from "../src/log-levels.ts";
import { LogScopes } from "../src/log.ts";

const AT = Date.UTC(2026, 10, 21, 6, 55, 42, 123) + 0.456;

function logOf(levels = "default:debug", asJson = false): { log: LogScopes; lines: string[] } {
  const lines: string[] = [];
  const output = { now: () => AT, write: (line: string) => void lines.push(line) };
  return { log: new LogScopes(output, parseLogLevels("--log_output_level", levels), asJson), lines };
}

function lineOf(message: string, fields: LogFields, asJson = false): string {
  const { log, lines } = logOf("debug", asJson);
  log.scope("ads").info(message, fields);
  assert.equal(lines.length, 1);
  return lines[0]!;
}

test("a log line has istiod's columns: time in microseconds, level, scope, message, fields", () => {
  assert.equal(
    lineOf("connected", { client: "ztunnel-1", count: 3, tls: true, gone: undefined }),
    "2026-11-21T06:55:42.123456Z\tinfo\tads\tconnected\tclient=ztunnel-1 count=3 tls=true\n",
  );
  assert.equal(lineOf("ready", {}), "2026-11-21T06:55:42.123456Z\tinfo\tads\tready\n");
});

test("nobody who chooses a value of a log line can forge another line, column or field", () => {
  const line = lineOf("hello\n2026\terror\tca\tforged", {
    reason: 'x level=error "y"\r\n\u001b[31m\u2028red',
    empty: "",
  });
  assert.equal(line.split("\n").length, 2);
  assert.equal(line.split("\t").length, 5);
  assert.ok(!/[\u0000-\u0008\u000b-\u001f\u2028]/.test(line));
  assert.match(line, /reason="x level=error \\"y\\"\\u\{d\}\\n\\u\{1b\}\[31m\\u\{2028\}red" empty=""\n$/);
});

test("a megabyte in one value does not make a megabyte of log", () => {
  for (const asJson of [false, true])
    assert.ok(lineOf("m".repeat(1e6), { reason: "\u0000".repeat(1e6) }, asJson).length < 40_000);
});

test("as JSON a line is one object whose frame no field can replace", () => {
  const line = lineOf("connected", { msg: "forged", level: "error", note: "a\nb" }, true);
  assert.equal(line.indexOf("\n"), line.length - 1);
  assert.deepEqual(JSON.parse(line), {
    level: "info",
    time: "2026-11-21T06:55:42.123456Z",
    scope: "ads",
    msg: "connected",
    note: "a\nb",
  });
});

test("a scope says what its level allows, and a new level holds from the next line on", () => {
  const { log, lines } = logOf("warn,ads:debug");
  const [ads, ca] = [log.scope("ads"), log.scope("ca")];
  ads.debug("one");
  ca.info("not heard");
  assert.ok(ads.enabled("debug") && !ca.enabled("info") && ca.enabled("warn"));
  log.setLevel("ca", "info");
  ca.info("two");
  log.setLevel("ads", "none");
  ads.error("not heard");
  log.setLevel("default", "debug");
  log.scope("grpc").debug("three");
  ca.debug("not heard: ca has a level of its own");
  assert.deepEqual(
    lines.map((line) => line.split("\t")[3]!.trim()),
    ["one", "two", "three"],
  );
  assert.equal(log.scope("ads"), ads);
});

test("the list of scopes shows each with its level and what it tells of", () => {
  const { log } = logOf("default:error,ca:debug");
  log.scope("later");
  const levels = new Map(log.list().map(({ name, level }) => [name, level]));
  assert.deepEqual([levels.get("default"), levels.get("ca"), levels.get("later")], ["error", "debug", "error"]);
  for (const scope of Object.keys(LOG_SCOPES)) assert.ok(levels.has(scope), scope);
  assert.match(log.list().find(({ name }) => name === "ca")!.description, /certificates/i);
});

test("levels are read as istiod reads them, and a mistake names the part and what would be right", () => {
  const levels = (text: string) => {
    const { default: standard, scopes } = parseLogLevels("--log_output_level", text);
    return { standard, ...Object.fromEntries(scopes) };
  };
  assert.deepEqual(levels("default:info,ads:debug"), { standard: "info", ads: "debug" });
  assert.deepEqual(levels("debug"), { standard: "debug" });
  assert.deepEqual(levels("ads:none,all:error"), { standard: "error" });
  const refused: readonly [string, RegExp][] = [
    ["ads:loud", /--log_output_level has "ads:loud": the level must be one of none, error, warn, info, debug/],
    ["add:debug", /"add:debug": there is no such scope; there are default, all, admin, ads/],
    ["__proto__:debug", /no such scope/],
    ["", /--log_output_level has "": the level must be/],
    ["info,", /has "": the level/],
  ];
  for (const [text, expected] of refused) assert.throws(() => levels(text), expected, text);
});

test("every scope that the code asks for is known, so that a flag can name it", () => {
  const root = join(import.meta.dirname, "..", "..", "src");
  const asked = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .flatMap((path) => [...readFileSync(join(root, path), "utf8").matchAll(/\blog\.scope\("([^"]+)"\)/g)])
    .map((match) => match[1]!);
  assert.ok(asked.length > 0);
  assert.deepEqual(
    asked.filter((scope) => !Object.hasOwn(LOG_SCOPES, scope)),
    [],
  );
});
