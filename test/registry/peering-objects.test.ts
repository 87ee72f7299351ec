import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { parseAllDocuments } from "yaml";
import type { KubeObject } from "../../src/kube/object.ts";
import { testMesh } from "./mesh.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const textOf = (...path: readonly string[]): string => readFileSync(join(root, ...path), "utf8");
const objectsIn = (text: string): readonly KubeObject[] =>
  parseAllDocuments(text).map((document) => document.toJS() as KubeObject);

/** Every object that a page shows: blocks that are indented and begin with an apiVersion. */
function examplesIn(page: string): readonly KubeObject[] {
  const blocks = page.match(/(?:^(?: {4}.*)?\n)+/gm) ?? [];
  return blocks.filter((block) => block.trimStart().startsWith("apiVersion:")).flatMap(objectsIn);
}

test("the objects that peering.md shows can be read, and mean what the page says", () => {
  const examples = examplesIn(textOf("docs", "peering.md"));
  assert.deepEqual(examples.map(({ kind }) => kind).sort(), ["Gateway", "PeerGrant", "Segment"]);
  const { registry } = testMesh(examples);
  assert.deepEqual([...registry.problems.entries()], []);
  assert.deepEqual(
    [...registry.peerGateways.entries()].map(([, { cluster, refused }]) => [cluster, refused]),
    [["bank", undefined]],
  );
  assert.equal(registry.peerGrants.size, 1);
});

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

/** Each path of a schema, and its type. */
function* pathsOf(schema: Schema, path: string): Iterable<readonly [path: string, type: string | undefined]> {
  yield [path, schema.type];
  for (const [name, inner] of Object.entries(schema.properties ?? {})) yield* pathsOf(inner, `${path}.${name}`);
  if (schema.items !== undefined) yield* pathsOf(schema.items, `${path}[]`);
}

test("the CRDs say the type of every field, as API servers ask for, and have those that are read", () => {
  const read: Readonly<Record<string, readonly string[]>> = {
    "segments.yaml": ["spec.domain", "spec.aliases[].pattern", "spec.aliases[].selector.matchExpressions[].operator"],
    "peergrants.yaml": ["spec.cluster", "spec.trustDomain", "spec.export.namespaces[]", "spec.import.services[]"],
  };
  for (const [file, fields] of Object.entries(read)) {
    const [crd] = objectsIn(textOf("deploy", "crds", file));
    const { versions } = (crd as unknown as { spec: { versions: { schema: { openAPIV3Schema: Schema } }[] } }).spec;
    const paths = new Map(pathsOf(versions[0]!.schema.openAPIV3Schema, ""));
    assert.deepEqual(
      [...paths].filter(([, type]) => type === undefined),
      [],
    );
    for (const field of fields) assert.ok(paths.has(`.${field}`), `${file} has no ${field}`);
  }
});
