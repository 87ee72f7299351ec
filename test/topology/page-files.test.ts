import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { afterEach, test } from "mocha";
import { AdminServer } from "../../src/admin.ts";
import { debugPages } from "../../src/commands/debug-pages.ts";
import { DebugPages } from "../../src/debug-page.ts";
import { PrometheusMetrics } from "../../src/prometheus.ts";
import { systemClock } from "../../src/system-host.ts";
import { pageFile } from "../../src/topology/page-files.ts";
import { SHOP, viewedMesh } from "../commands/served-mesh.ts";

const PAGE = join(import.meta.dirname, "..", "..", "..", "src", "topology", "page");
const running: AdminServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.close();
});

async function served(topology?: boolean): Promise<string> {
  const viewed = viewedMesh(SHOP);
  const pages = new DebugPages(debugPages(viewed));
  const host = { clock: systemClock, log: viewed.scopes, metrics: new PrometheusMetrics() };
  const server = new AdminServer(host, {
    ...{ address: "127.0.0.1", healthPort: 0, adminPort: 0, checks: () => [], pages: () => pages },
    ...(topology !== undefined && { topology }),
  });
  running.push(server);
  await server.start();
  return `http://127.0.0.1:${server.adminPort}`;
}

/** As a browser that was led here by another name. */
function statusByName(url: string, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers: { host } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode!);
    });
    asked.on("error", reject);
    asked.end();
  });
}

test("the page comes with a policy under which nothing but its own files runs, and no text is ever HTML", async () => {
  const base = await served(true);
  for (const path of ["/topology", "/topology/service", "/topology/main.js", "/topology/topology.css"]) {
    const answer = await fetch(`${base}${path}`);
    assert.equal(answer.status, 200, path);
    const policy = new Map(
      answer.headers
        .get("content-security-policy")!
        .split("; ")
        .map((rule) => rule.split(/ (.*)/) as [string, string]),
    );
    assert.deepEqual(
      [policy.get("default-src"), policy.get("script-src"), policy.get("style-src")],
      ["'none'", "'self'", "'self'"],
    );
    assert.deepEqual([policy.get("frame-ancestors"), policy.get("trusted-types")], ["'none'", "'none'"]);
    assert.equal(policy.get("require-trusted-types-for"), "'script'");
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    assert.equal(answer.headers.get("cache-control"), "no-store");
  }
});

test("every module that the page loads is served, and what is written in its pages needs no other host", () => {
  const sources = readdirSync(PAGE).filter((name) => name.endsWith(".ts"));
  assert.ok(sources.length > 10);
  for (const name of sources)
    assert.match(pageFile(`/topology/${name.replace(/\.ts$/, ".js")}`).contentType, /^text\/javascript/);
  for (const page of ["topology.html", "service.html"]) {
    const text = readFileSync(join(PAGE, page), "utf8");
    assert.doesNotMatch(text, /https?:|<script(?![^>]* src=)|<style| style=| on[a-z]+=/, page);
  }
});

test("nothing in the page reads text as HTML", () => {
  const holes =
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|srcdoc/;
  for (const name of readdirSync(PAGE)) assert.doesNotMatch(readFileSync(join(PAGE, name), "utf8"), holes, name);
});

test("the page is for callers of this machine, by a name of its own, who only read", async () => {
  const base = await served(true);
  assert.equal(await statusByName(`${base}/topology`, "evil.example"), 403);
  assert.equal((await fetch(`${base}/topology`, { method: "POST" })).status, 405);
  for (const path of ["/topology/", "/topology/../admin.js", "/topology/%2e%2e/main.js", "/topology/nope.js"])
    assert.equal((await fetch(`${base}${path}`)).status, 404, path);
});

test("the debug pages lead to it where there is a mesh to show, and elsewhere there is no such page", async () => {
  const [mesh, other] = [await served(true), await served()];
  assert.match(await (await fetch(`${mesh}/debug`)).text(), /<a href="\/topology">/);
  assert.doesNotMatch(await (await fetch(`${other}/debug`)).text(), /topology">/);
  assert.equal((await fetch(`${other}/topology`)).status, 404);
});

test("topologyz says all of what it knows, and only the time to who has the newest", async () => {
  const base = await served(true);
  const ask = async (query: string) =>
    (await (await fetch(`${base}/debug/topologyz${query}`)).json()) as Record<string, unknown>;
  const whole = await ask("");
  assert.equal(whole["schema"], "causeway.dev/topology/v1");
  assert.deepEqual(
    (whole["links"] as Record<string, string>[]).map(({ cluster, state, message }) => [cluster, state, message]),
    [["west", "stale", "https://10.9.0.1:6443 does not answer"]],
  );
  const again = await ask(`?unless=${whole["digest"] as string}`);
  assert.deepEqual(Object.keys(again).sort(), ["at", "digest", "schema", "unchanged"]);
  assert.equal((await ask("?unless=other"))["unchanged"], undefined);
  assert.notEqual((await ask("?filter=nothing-has-this-name"))["digest"], undefined);
});
