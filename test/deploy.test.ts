import assert from "node:assert/strict";
import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { parse, parseAllDocuments } from "yaml";
import { NEEDED_RIGHTS, type NeededRights, READER_RIGHTS } from "../src/registry/kube/rights.ts";

const root = join(import.meta.dirname, "..", "..");
const deploy = join(root, "deploy");
const read = (...path: string[]): string => readFileSync(join(deploy, ...path), "utf8");

interface Role {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
    readonly resourceNames?: readonly string[];
  }[];
}

/** As `own list secrets` or `everywhere create configmaps named istio-ca-root-cert`, each single right once. */
function singly(feature: string, rights: readonly Omit<NeededRights, "feature">[]): readonly string[] {
  const lines = rights.flatMap(({ group, resources, verbs, where, names = [""] }) =>
    resources.flatMap((resource) =>
      verbs.flatMap((verb) =>
        names.map((name) => `${feature} ${where} ${verb} ${resource}.${group}${name && ` named ${name}`}`),
      ),
    ),
  );
  assert.equal(new Set(lines).size, lines.length, "a right is said twice");
  return lines.toSorted();
}

/** What the roles of a file of deploy/rbac grant. */
function granted(feature: string, isReader: boolean): readonly string[] {
  const file = feature === "mesh" ? "causeway" : feature;
  const objects = parseAllDocuments(read("rbac", `${file}.yaml`)).map((document) => document.toJS() as Role);
  const roles = objects.filter(
    ({ kind, metadata }) => kind.endsWith("Role") && metadata.name.startsWith("istio-reader") === isReader,
  );
  const rights = roles.flatMap(({ kind, rules }) =>
    rules.flatMap(({ apiGroups, resources, verbs, resourceNames: names }) =>
      apiGroups.map((group) => ({
        ...{ group, resources, verbs, where: kind === "Role" ? ("own" as const) : ("everywhere" as const) },
        ...(names !== undefined && { names }),
      })),
    ),
  );
  return singly(feature, rights);
}

test("deploy/rbac grants what the program says that it needs, for each feature, and nothing else", () => {
  const features = [...new Set(NEEDED_RIGHTS.map(({ feature }) => feature))];
  const needed = features.map((feature) =>
    singly(
      feature,
      NEEDED_RIGHTS.filter((right) => right.feature === feature),
    ),
  );
  assert.deepEqual(
    features.map((feature) => granted(feature, false)),
    needed,
  );
  assert.deepEqual(granted("mesh", true), singly("mesh", READER_RIGHTS));
  assert.ok(needed.flat().length > 100);
  const files = readdirSync(join(deploy, "rbac")).map((name) => name.replace(".yaml", ""));
  const others = ["trust-manager", "trust-cert-manager"];
  const known = [...features.map((feature) => (feature === "mesh" ? "causeway" : feature)), ...others];
  assert.deepEqual(files.toSorted(), known.toSorted());
});

test("the charts have no rules and no CRDs of their own: they are those of deploy/rbac and deploy/crds", () => {
  for (const chart of ["causeway", "trust-manager"])
    assert.equal(realpathSync(join(deploy, "charts", chart, "files", "rbac")), realpathSync(join(deploy, "rbac")));
  assert.equal(realpathSync(join(deploy, "charts", "crds", "files", "crds")), realpathSync(join(deploy, "crds")));
});

test("every chart is of the program's version, and its schema knows each of its values", () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const charts = readdirSync(join(deploy, "charts"));
  assert.ok(charts.length >= 4);
  for (const chart of charts) {
    const about = parse(read("charts", chart, "Chart.yaml")) as Record<string, string>;
    assert.deepEqual([about["version"], about["appVersion"]], [version, version], chart);
    const schema = JSON.parse(read("charts", chart, "values.schema.json")) as Schema;
    assert.equal(schema.additionalProperties, false, `${chart} passes over a value that is misspelt`);
    const values = parse(read("charts", chart, "values.yaml")) as Record<string, unknown>;
    assert.deepEqual(unknownTo(schema, values, chart, schema), []);
  }
});

interface Schema {
  readonly $ref?: string;
  readonly additionalProperties?: boolean;
  readonly properties?: Readonly<Record<string, Schema>>;
}

/** Values that no property of the schema is for. */
function unknownTo(schema: Schema, value: unknown, path: string, whole: Schema): readonly string[] {
  const { properties, additionalProperties } = resolved(schema, whole);
  if (properties === undefined || typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const of = properties[key];
    if (of !== undefined) return unknownTo(of, inner, `${path}.${key}`, whole);
    return additionalProperties === false ? [`${path}.${key}`] : [];
  });
}

const resolved = (schema: Schema, whole: Schema): Schema =>
  schema.$ref === undefined
    ? schema
    : (schema.$ref
        .split("/")
        .slice(1)
        .reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], whole) as Schema);
