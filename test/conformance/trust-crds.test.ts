import assert from "node:assert/strict";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { stringify } from "yaml";
import { pathOf } from "../../src/kube/api.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { NAMESPACES, SEGMENTS } from "../../src/kube/resource-types.ts";
import { trustTypeOf } from "../../src/manager/feeds/trust-types.ts";
import { TRUST_KINDS, type TrustKind } from "../../src/manager/policy.ts";
import { TrustObjectBook } from "../../src/manager/plan/trust-object-book.ts";
import { clusterId } from "../../src/names.ts";
import { FieldError } from "../../src/registry/kube/fields.ts";
import { metadataOf } from "../../src/registry/kube/metadata.ts";
import { readSegment } from "../../src/registry/kube/segment.ts";
import { TestAuthority } from "../kits/tls.ts";
import { GUIDE_001, GUIDE_004, objectsIn, rightObjects, trustObject, wrongObjects } from "../kits/trust-objects.ts";
import { corrupted } from "../registry/corrupted.ts";
import { Refused } from "./kube-client.ts";
import { KubeLab, writeWhole, type KubeCluster } from "./kube-lab.ts";

const CRDS = join(import.meta.dirname, "..", "..", "..", "deploy", "crds");

suite("the kinds of the trust manager in an API server", () => {
  let lab: KubeLab;
  let cluster: KubeCluster;

  before(async function () {
    lab = await KubeLab.open(this);
    cluster = await lab.cluster("management", { crds: undefined, authorization: "AlwaysAllow" });
    for (const name of ["gloo-mesh", "trials"]) await cluster.client.put(NAMESPACES, { metadata: { name } });
    await cluster.client.kubectl("apply", "-f", CRDS);
    await cluster.client.kubectl("wait", "--for=condition=established", "crd", "--all");
  });
  after(() => lab?.close());

  const apply = async (name: string, yaml: string): Promise<string> => {
    const path = join(lab.folder, `${name}.yaml`);
    writeWhole(path, yaml);
    return cluster.client.kubectl("apply", "-f", path);
  };

  /** As kubectl would create it, except in a namespace of its own, and that it stays nowhere. @throws Refused */
  const tried = (object: KubeObject, unknownFields: "Strict" | "Ignore" = "Strict"): Promise<KubeObject> => {
    const path = pathOf(trustTypeOf(object.kind as TrustKind), "v2", "trials");
    const there = { ...object, metadata: { ...object.metadata, namespace: "trials" } };
    return cluster.client.call("POST", `${path}?dryRun=All&fieldValidation=${unknownFields}`, there);
  };

  test("kubectl applies every example of guides 001 and 004, and each is read as it was stored", async () => {
    for (const [name, yaml] of [["guide-001", GUIDE_001], ...Object.entries(GUIDE_004)] as const) {
      assert.match(await apply(name, yaml), /(created|configured)/);
      for (const { kind, metadata } of objectsIn(yaml)) {
        const stored = await cluster.client.get(trustTypeOf(kind as TrustKind), metadata.name, metadata.namespace);
        assert.equal(whyUnread(stored), undefined, `${name}: ${kind} ${metadata.name}`);
        const { creationTimestamp } = stored.metadata;
        assert.ok(creationTimestamp);
      }
    }
  });

  test("whatever is right passes, and is read as it comes back", async () => {
    const { root } = await TestAuthority.create();
    for (const [what, object] of rightObjects(root)) {
      const stored = await tried(object).catch((refused: unknown) => assert.fail(`${what}: ${String(refused)}`));
      assert.equal(whyUnread(stored), undefined, what);
      assert.deepEqual(stored["spec"], object["spec"], what);
    }
  });

  test("whatever is wrong is refused by the schema, with what would be right", async () => {
    const passed: string[] = [];
    for (const { what, object, schema } of wrongObjects()) {
      const answer = await tried(object).then(() => undefined, messageOfRefusal);
      if (answer === undefined) passed.push(what);
      else assert.match(answer, schema, what);
    }
    assert.deepEqual(passed, []);
  });

  test("kubectl shows what is wrong in words", async () => {
    const policy = stringify(
      trustObject("RootTrustPolicy", "wrong", { config: { mgmtServerCa: { generated: {} }, agentCa: {} } }),
    );
    await assert.rejects(apply("wrong", policy), /needs exactly one of mgmtServerCa, agentCa and caSourceRef/);
    await assert.rejects(
      apply("misspelt", stringify(trustObject("KubernetesCluster", "east", { clusterDomains: "a" }))),
      /unknown field "spec.clusterDomains"/,
    );
  });

  test("what the schema lets pass, whatever is in its fields, the reader reads", async function () {
    this.timeout(240_000);
    const { root } = await TestAuthority.create();
    let [passed, refused] = [0, 0];
    for (const [what, object] of rightObjects(root))
      for (const [field, broken] of [...corrupted(object), ...corrupted(object, LIKELY)]) {
        // What certificates say no schema can tell.
        if (!field.startsWith("spec") || /\.(caBundle|certificate) = /.test(field)) continue;
        const stored = await tried(broken, "Ignore").catch(messageOfRefusal);
        if (typeof stored === "string") refused += 1;
        else {
          passed += 1;
          assert.equal(whyUnread(stored), undefined, `${what}: ${field}`);
        }
      }
    assert.ok(passed > 300 && refused > 1_000, `${passed} passed, ${refused} were refused`);
    console.log(`      ${refused} were refused, ${passed} passed`);
  });

  test("a Segment is refused in words where its reader would refuse it", async () => {
    const patterns = ["{service}.{namespace}.bank.example", "{labels['a.b/c']}.x", '{annotations["k"]}-{service}.x'];
    const aliases = patterns.map((pattern) => ({ pattern, selector: { matchLabels: { tier: "gold" } } }));
    const alias = (pattern: string) => ({ domain: "prod.example", aliases: [{ pattern }] });
    const name = /there are \{service\}, \{namespace\}, \{labels\['key'\]\}/;
    const wrong: readonly (readonly [spec: object, schema: RegExp])[] = [
      [{ domain: "a b" }, /give a DNS domain, as mesh.internal/],
      [{ domain: "10.0.0.1" }, /give a DNS domain/],
      [{}, /domain: Required/],
      [alias("{host}.example"), name],
      [alias("{service}.a_b/example"), name],
      [alias("shop.example"), /is one name for all services; begin it with \{service\}/],
    ];
    assert.equal(whySegment({ domain: "prod.example", aliases }), undefined);
    await triedSegment({ domain: "prod.example", aliases });
    for (const [spec, schema] of wrong) {
      assert.ok(whySegment(spec), JSON.stringify(spec));
      const answer = await triedSegment(spec).then(() => assert.fail(JSON.stringify(spec)), messageOfRefusal);
      assert.match(answer, schema);
    }
  });

  const triedSegment = (spec: object): Promise<KubeObject> =>
    cluster.client.call(
      "POST",
      `${pathOf(SEGMENTS, "v1alpha1", "trials")}?dryRun=All&fieldValidation=Strict`,
      segment(spec),
    );

  test("a status is kept whole, shown in columns, and is no change of the spec", async () => {
    const condition = {
      type: "Accepted",
      status: "False",
      reason: "Warning",
      message: "Clusters of several trust domains.",
      observedGeneration: 1,
      lastTransitionTime: "2026-11-21T22:00:00Z",
    };
    const common = {
      state: "WARNING",
      message: "Clusters of several.",
      observedGeneration: 1,
      conditions: [condition],
    };
    const [at, sha256] = ["2027-01-01T00:00:00Z", "ab12"];
    const more: Partial<Record<TrustKind, object>> = {
      RootTrustPolicy: {
        roots: [{ sha256, subject: "CN=root", role: "signing", notAfter: at }],
        rotation: { phase: "add", notes: ["west has not reported."] },
      },
      KubernetesCluster: {
        trustDomain: "bank.example",
        relay: { connected: true, lastHeard: at, signingRoot: sha256, notAfter: at },
      },
    };
    await apply("guide-001", GUIDE_001);
    for (const kind of TRUST_KINDS) {
      const type = trustTypeOf(kind);
      const [object] = await cluster.client.list(type, "gloo-mesh");
      assert.ok(object, kind);
      const status = { ...common, ...more[kind] };
      const written = await cluster.client.merge(type, object, { status }, "/status");
      assert.deepEqual(
        [written["status"], written.metadata["generation"]],
        [status, object.metadata["generation"]],
        kind,
      );
      const rows = await cluster.client.kubectl("get", "-n", "gloo-mesh", type.plural, object.metadata.name);
      assert.match(rows, /^NAME +STATE +(TRUST DOMAIN +)?MESSAGE +AGE\n/, kind);
      assert.match(rows, /WARNING +(bank\.example +)?Clusters of several\. +/, kind);
      await assert.rejects(
        cluster.client.merge(type, object, { status: { state: "FINE" } }, "/status"),
        /supported values/,
      );
    }
  });
});

/** What people write, right in some fields and wrong in others. */
const LIKELY: readonly unknown[] = [
  ...[
    "a",
    "Bank",
    "bank.example",
    "*",
    "shop-*",
    "-a",
    "a-",
    "a..b",
    "a_b",
    "ä",
    "a/b",
    "/a/b",
    "../a",
    "a:b",
    " a",
    "a\n",
  ],
  ...[
    "https://a",
    "https://a:99999",
    "http://a",
    "https://a/b",
    "pki/root/sign-intermediate",
    "a".repeat(64),
    "a".repeat(300),
  ],
  ...[0, 1, 0.5, 30, 2048, 5000, {}, [], [{}], [{ name: "a" }], null, false],
];

/** Why a reader would not have it. */
function whyUnread(object: KubeObject): string | undefined {
  const book = new TrustObjectBook();
  book.set(object, "");
  const [known] = book.objects[object.kind as TrustKind].values();
  assert.ok(known);
  return known.error;
}

const segment = (spec: object): KubeObject => ({
  apiVersion: "admin.solo.io/v1alpha1",
  kind: "Segment",
  metadata: { name: "prod", namespace: "trials" },
  spec,
});

function whySegment(spec: object): string | undefined {
  const object = segment(spec);
  try {
    readSegment(metadataOf(object.metadata, clusterId("management"), "", false), object);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof FieldError);
    return error.message;
  }
}

/** @throws what is no refusal of the object. */
function messageOfRefusal(thrown: unknown): string {
  if (thrown instanceof Refused && (thrown.status === 422 || thrown.status === 400)) return unescaped(thrown.message);
  throw thrown;
}

/** The message is in JSON. */
const unescaped = (text: string): string =>
  text.replaceAll('\\"', '"').replaceAll("\\u003c", "<").replaceAll("\\u003e", ">");
