import assert from "node:assert/strict";
import { test } from "mocha";
import { parseManifest } from "../../../src/registry/embedded/manifest.ts";
import { ManifestSet } from "../../../src/registry/embedded/manifest-set.ts";

const pod = (name: string, rest = "") => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}${rest}}\n`;
const namesOf = (text: string) =>
  parseManifest(text).objects.map(({ object, line }) => `${object.metadata.name}:${line}`);
const reasonsOf = (text: string) => parseManifest(text).faults.map(({ line, reason }) => `${line} ${reason}`);

test("documents, lists and typed lists all give their objects, each with its line", () => {
  const list = "kind: List\napiVersion: v1\nitems:\n  - apiVersion: v1\n    kind: Pod\n    metadata: {name: c}\n";
  const typed = '{"apiVersion": "v1", "kind": "PodList", "items": [\n\t{"metadata": {"name": "d"}}]}';
  assert.deepEqual(namesOf([pod("a"), `# b\n${pod("b")}`, list, typed].join("---\n")), ["a:1", "b:6", "c:13", "d:18"]);
});

test("empty documents, comments, a byte order mark, CRLF and directives are no faults", () => {
  const text = `\ufeff%YAML 1.2\n# nothing\n---\n---\n${pod("a").replaceAll("\n", "\r\n")}---\n${pod("b")}...\n`;
  const manifest = parseManifest(text);
  assert.deepEqual(manifest.faults, []);
  assert.deepEqual(
    manifest.objects.map(({ object }) => object.metadata.name),
    ["a", "b"],
  );
});

test("what is no object is a fault with its line, its reason and what to do", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [`${pod("a")}---\na: 1\na: 2\n`, /^6 Map keys must be unique.*; keep one of the two/],
    ["a:\n\tb: 1\n", /^2 Tabs are not allowed as indentation.*; indent with spaces/],
    ["a: !!js/function 'x'", /^1 Unresolved tag.*; only plain YAML is read/],
    ["- 1\n- 2\n", /^1 a document must be a map with apiVersion, kind and metadata/],
    ["just text", /^1 a document must be a map/],
    ["a: b: c", /quote a value that holds ': '/],
    ["image: nginx\nreplicas: 2\n", /^1 kind is missing or not text/],
    ["kind: Pod\nmetadata: {name: a}\n", /^1 apiVersion is missing/],
    [pod("7"), /^1 metadata\.name is 7; it must be text/],
    [pod("a/b"), /^1 metadata\.name is "a\/b"/],
    [pod("a", ", namespace: A_B"), /^1 metadata\.namespace is "A_B"/],
    [pod("a", ", labels: {version: 1.0}"), /^1 metadata\.labels\["version"\] is 1; it must be text, quote it/],
    ["a: &a [*a]\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", /^1 an alias refers to what it is a part of/],
    ["[".repeat(200_000), /^1 it nests deeper than 100 levels/],
    ["- ".repeat(200_000), /^1 it nests deeper than 100 levels/],
    ["{a: ".repeat(100_000), /^1 it nests deeper than 100 levels/],
  ];
  for (const [text, reason] of cases) assert.match(reasonsOf(text)[0] ?? "no fault", reason);
});

test("an alias bomb is refused before it goes off", () => {
  const level = (at: number) =>
    `a${at}: &a${at} [${Array(9)
      .fill(`*a${at - 1}`)
      .join(", ")}]\n`;
  const bomb = `a0: &a0 [x, x]\n${[1, 2, 3, 4, 5, 6, 7, 8, 9].map(level).join("")}`;
  assert.match(reasonsOf(bomb)[0]!, /^1 Excessive alias count/);
});

test("nulls that tools export are absent, and a key called __proto__ is only a key", () => {
  const text = pod("a", ", creationTimestamp: null, labels: {__proto__: x, app: null}");
  const [first] = parseManifest(text).objects;
  assert.equal("creationTimestamp" in first!.object.metadata, false);
  assert.equal(first!.object.metadata.labels!["app"], "");
  assert.equal(({} as Record<string, unknown>)["x"], undefined);
  assert.equal(Object.getPrototypeOf(first!.object.metadata.labels), Object.prototype);
});

test("an edit gives new objects only for the documents it changed, and moves the lines of those below", () => {
  const before = parseManifest([pod("a"), pod("b"), pod("c")].join("---\n"));
  const after = parseManifest([pod("a"), `# why\n${pod("b", ", labels: {x: y}")}`, pod("c")].join("---\n"), before);
  assert.equal(after.objects[0]!.object, before.objects[0]!.object);
  assert.notEqual(after.objects[1]!.object, before.objects[1]!.object);
  assert.equal(after.objects[2]!.object, before.objects[2]!.object);
  assert.equal(after.objects[2]!.line, before.objects[2]!.line + 1);
});

const known = () => new ManifestSet((kind) => kind !== "Widget");
const keysOf = (set: ManifestSet) => [...set.declarations().objects.keys()];

test("a file with one bad document keeps its last good state as a whole, and says so", () => {
  const set = known();
  set.put("shop/a.yaml", [pod("a"), pod("b")].join("---\n"));
  set.put("b.yaml", pod("c"));
  set.put("shop/a.yaml", [pod("a2"), "a: 1\na: 2\n"].join("---\n"));
  assert.deepEqual(keysOf(set), ["Pod/default/c", "Pod/default/a", "Pod/default/b"]);
  const [problem] = set.declarations().problems;
  assert.equal(problem!.origin, "shop/a.yaml:6");
  assert.match(problem!.message, /until that is fixed, the 2 objects that shop\/a\.yaml held before stay as they were/);
  set.put("shop/a.yaml", pod("a2"));
  assert.deepEqual(keysOf(set), ["Pod/default/c", "Pod/default/a2"]);
  assert.deepEqual(set.declarations().problems, []);
});

test("a file that was never good has no effect, and says so", () => {
  const set = known();
  set.put("a.yaml", [pod("a"), "kind: 1\n"].join("---\n"));
  assert.deepEqual(keysOf(set), []);
  assert.match(set.declarations().problems[0]!.message, /until that is fixed, nothing in a\.yaml takes effect/);
});

test("of two definitions of an object the first by path counts, whichever was read first, and the problem names both", () => {
  const set = known();
  set.put("b.yaml", pod("a", ", labels: {from: b}"));
  set.put("a/z.yaml", pod("a", ", namespace: default, labels: {from: a}"));
  const { objects, problems } = set.declarations();
  assert.equal(objects.get("Pod/default/a")!.object.metadata.labels!["from"], "a");
  assert.equal(problems[0]!.origin, "b.yaml:1");
  assert.match(problems[0]!.message, /^Pod a is also defined at a\/z\.yaml:1, which counts/);
  set.remove("a/z.yaml");
  assert.equal(set.declarations().objects.get("Pod/default/a")!.object.metadata.labels!["from"], "b");
});

test("kinds that nothing reads are listed with their count and the first place, and are no problem", () => {
  const set = known();
  const widget = "apiVersion: x.io/v1\nkind: Widget\nmetadata: {name: w}\n";
  set.put("b.yaml", widget);
  set.put("a.yaml", [pod("a"), widget, widget].join("---\n"));
  const { unknownKinds, problems } = set.declarations();
  assert.deepEqual(unknownKinds, [{ apiVersion: "x.io/v1", kind: "Widget", count: 3, origin: "a.yaml:5" }]);
  assert.deepEqual(problems, []);
});

test("what kustomize keeps beside manifests is listed, and is no problem", () => {
  const set = new ManifestSet(() => true);
  set.put(
    "kustomization.yaml",
    "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n",
  );
  set.put("none.yaml", "apiVersion: v1\nkind: Service\n");
  const { problems } = set.declarations();
  assert.deepEqual(
    problems.map(({ origin, field }) => [origin, field]),
    [["none.yaml:1", "metadata"]],
  );
});
