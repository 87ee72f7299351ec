import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { FieldError } from "../../../src/registry/kube/fields.ts";
import { meshOf, type MeshConfigReading, readMeshConfig } from "../../../src/registry/kube/mesh-config.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { TestAuthority } from "../../kits/tls.ts";

const rootPem = async (ca = true): Promise<string> => (await TestAuthority.create({ ca })).root;
const configMap = (data: unknown, name = "istio"): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "istio-system" },
  data,
});
const read = (mesh: string): MeshConfigReading => readMeshConfig(configMap({ mesh }));
const refused = (data: unknown, field: string, message: RegExp): void =>
  assert.throws(
    () => readMeshConfig(configMap(data)),
    (thrown) => {
      assert.ok(thrown instanceof FieldError, String(thrown));
      assert.deepEqual([thrown.field, message.test(thrown.message)], [field, true], thrown.message);
      return true;
    },
  );

test("the mesh config of istiod's chart is read, and says nothing that its author should worry about", () => {
  const { config, notes, warnings } = readMeshConfig(
    configMap({
      mesh: `trustDomain: "east.example"
rootNamespace: "istio-config"
accessLogFile: /dev/stdout
defaultProviders: { metrics: [prometheus] }
defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
  proxyMetadata: { ISTIO_META_DNS_CAPTURE: "true" }
`,
      meshNetworks: "networks: {}",
    }),
  );
  assert.deepEqual(config, {
    trustDomain: "east.example",
    rootNamespace: "istio-config",
    trustDomainAliases: [],
    caCertificates: [],
    jwtRules: [],
    serviceScopeConfigs: [],
  });
  assert.deepEqual(notes, ["accessLogFile", "defaultConfig", "defaultProviders"]);
  assert.deepEqual(warnings, []);
});

test("an empty mesh config leaves every default alone", () => {
  for (const text of ["", "# nothing yet", "{}", "null"]) {
    const { config, notes, warnings } = read(text);
    assert.deepEqual([config, notes, warnings], [meshOf({}), [], []], text);
  }
});

test("service scopes have the selectors of Kubernetes, and are local unless they say otherwise", () => {
  const { config } = read(`
serviceScopeConfigs:
- servicesSelector:
    matchExpressions: [{ key: istio.io/global, operator: In, values: ["true"] }]
  namespaceSelector:
    matchLabels: { tier: shop }
  scope: GLOBAL
- {}
`);
  assert.deepEqual(config.serviceScopeConfigs, [
    {
      namespaceSelector: { matchLabels: { pairs: [["tier", "shop"]] }, expressions: [] },
      serviceSelector: {
        matchLabels: undefined,
        expressions: [{ key: "istio.io/global", operator: "In", values: ["true"] }],
      },
      scope: "global",
    },
    { namespaceSelector: undefined, serviceSelector: undefined, scope: "local" },
  ]);
});

test("a scope whose selector is misspelt is refused, since without it every service would be global", () => {
  const scoped = (yaml: string) => ({ mesh: `serviceScopeConfigs: [${yaml}]` });
  refused(
    scoped("{ serviceSelector: {}, scope: GLOBAL }"),
    "mesh.serviceScopeConfigs[0]",
    /"serviceSelector"; there are/,
  );
  const selector = "mesh.serviceScopeConfigs[0].servicesSelector";
  refused(scoped("{ servicesSelector: { matchLabel: { a: b } }, scope: GLOBAL }"), selector, /"matchLabel"/);
  refused(
    scoped("{ servicesSelector: { matchExpressions: [{ key: a, op: Exists }] }, scope: GLOBAL }"),
    `${selector}.matchExpressions[0]`,
    /"op"; there are key, operator, values/,
  );
});

test("roots are read from PEM, with whom they vouch for", async () => {
  const pem = `# west\n${await rootPem()}\n${await rootPem()}`;
  const { config, warnings } = read(JSON.stringify({ caCertificates: [{ pem, trustDomains: ["west"] }] }));
  const [certificate] = config.caCertificates;
  assert.equal(certificate?.roots.length, 2);
  assert.deepEqual(certificate?.trustDomains, ["west"]);
  assert.deepEqual(warnings, []);
});

test("the author of roots that nobody trusts is told, and what would be right", async () => {
  const [pem, trustDomains] = [await rootPem(), ["west"]];
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ pem }, /^is trusted by nobody, as it does not say for whom its roots vouch: name the trust domains/],
    [{ pem, trustDomains, certSigners: ["a"] }, /^is trusted by nobody: .*remove certSigners/],
    [{ spiffeBundleUrl: "https://a" }, /^is trusted by nobody, as it does not say for whom/],
  ];
  for (const [certificate, message] of cases) {
    const { warnings } = read(JSON.stringify({ caCertificates: [{ pem, trustDomains }, certificate] }));
    assert.deepEqual(
      warnings.map(({ field }) => field),
      ["mesh.caCertificates[1]"],
    );
    assert.match(warnings[0]!.message, message);
  }
});

test("issuers of tokens are read in the words of Istio's JWTRule, each once", () => {
  const rule = { issuer: "https://a.test", audiences: ["istio-ca"], jwksUri: "https://a.test/keys" };
  const reading = (...jwtRules: object[]) => ({ mesh: JSON.stringify({ jwtRules }) });
  const { config, warnings } = read(JSON.stringify({ jwt_rules: [rule] }));
  const keys = { kind: "url", url: "https://a.test/keys" };
  assert.deepEqual([config.jwtRules, warnings], [[{ issuer: rule.issuer, audiences: rule.audiences, keys }], []]);
  refused(reading(rule, { ...rule, audiences: [] }), "mesh.jwtRules[1].audiences", /at least one audience/);
  refused(reading(rule, rule), "mesh.jwtRules[1].issuer", /is there twice/);
});

test("what cannot be is refused with the field, and what would be right", async () => {
  const [pem, leaf] = [await rootPem(), await rootPem(false)];
  const broken = pem.replace(/\n[^-]{40}/, "\n");
  const certificate = (item: unknown) => ({ mesh: JSON.stringify({ caCertificates: [item] }) });
  const cases: readonly [unknown, string, RegExp][] = [
    [undefined, "data.mesh", /^is missing; it holds the mesh config/],
    [{ config: "trustDomain: a" }, "data.mesh", /^is missing/],
    [{ mesh: { trustDomain: "a" } }, "data.mesh", /^must be text, not a map/],
    [[], "data", /^must be a map of fields/],
    [{ mesh: "- a" }, "mesh", /^must be a map of fields, not a list/],
    [{ mesh: "trustDomain: a/b" }, "mesh.trustDomain", /^is "a\/b"; use 1 to 255 of a-z/],
    [{ mesh: 'trustDomain: ""' }, "mesh.trustDomain", /^is ""/],
    [{ mesh: "trustDomain: spiffe://a" }, "mesh.trustDomain", /use 1 to 255/],
    [{ mesh: "trustDomain: 5" }, "mesh.trustDomain", /^must be text, not 5/],
    [{ mesh: 'rootNamespace: ""' }, "mesh.rootNamespace", /^is ""; give the name of a namespace, or leave/],
    [{ mesh: "rootNamespace: [a]" }, "mesh.rootNamespace", /^must be text, not a list/],
    [{ mesh: "trustDomainAliases: old" }, "mesh.trustDomainAliases", /^must be a list, not "old"/],
    [{ mesh: 'trustDomainAliases: ["A"]' }, "mesh.trustDomainAliases[0]", /^is "A"; use 1 to 255/],
    [{ mesh: "trustDomain: a\ntrustDomain: b" }, "data.mesh", /line 2: .*; keep one of the two/],
    [{ mesh: "trustDomain: a\ntrust_domain: b" }, "mesh.trustDomain", /^is there twice, once as "trust_domain"/],
    [{ mesh: "trustDomain: a\n---\ntrustDomain: b" }, "data.mesh", /second document/],
    [{ mesh: "\ttrustDomain: a" }, "data.mesh", /tab/i],
    [{ mesh: "a: ".padEnd(5 * 1024 * 1024, "x") }, "data.mesh", /^is 5242880 characters long; at most 1048576/],
    [{ mesh: "[".repeat(100_000) }, "data.mesh", /nests deeper than/],
    [{ mesh: "serviceScopeConfigs: {}" }, "mesh.serviceScopeConfigs", /^must be a list, not a map/],
    [{ mesh: "serviceScopeConfigs: [GLOBAL]" }, "mesh.serviceScopeConfigs[0]", /^must be a map of fields/],
    [{ mesh: "serviceScopeConfigs: [{ scope: Global }]" }, "mesh.serviceScopeConfigs[0].scope", /^must be LOCAL or/],
    [certificate({}), "mesh.caCertificates[0]", /^must have one of pem and spiffeBundleUrl/],
    [certificate({ pem, spiffeBundleUrl: "https://a" }), "mesh.caCertificates[0]", /and not both/],
    [certificate({ pem: "hello" }), "mesh.caCertificates[0].pem", /^holds no certificate; it must begin with/],
    [certificate({ pem: pem.slice(0, -40) }), "mesh.caCertificates[0].pem", /^ends in the middle of certificate 1/],
    [certificate({ pem: `${pem}\n${broken}` }), "mesh.caCertificates[0].pem", /certificate 2 that cannot/],
    [certificate({ pem: leaf }), "mesh.caCertificates[0].pem", /is no authority's/],
    [
      certificate({ pem: `${pem}\n-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n` }),
      "mesh.caCertificates[0].pem",
      /holds a private key/,
    ],
    [certificate({ spiffeBundleUrl: "http://a" }), "mesh.caCertificates[0].spiffeBundleUrl", /begins with https/],
  ];
  for (const [data, field, message] of cases) refused(data, field, message);
});

test("a field that nobody knows is said with what may have been meant, and the rest counts", () => {
  const { config, warnings } = read("trustDomainAlias: [old]\ntrustDomain: east\nfrobnicate: 1\nca: { address: a }");
  assert.equal(config.trustDomain, "east");
  assert.deepEqual(
    warnings.map(({ field, message }) => `${field} ${message}`),
    [
      "mesh.trustDomainAlias is no field of Istio's mesh config, and has no effect; did you mean trustDomainAliases?",
      "mesh.frobnicate is no field of Istio's mesh config, and has no effect",
      "mesh.ca has no effect: certificates are signed by Causeway's own authority, which --cacerts names",
    ],
  );
});

test("of thousands of unknown fields the first few are said", () => {
  const fields = Array.from({ length: 5_000 }, (_, at) => `x${at}: 1`).join("\n");
  assert.equal(read(fields).warnings.length, 50);
});

test("names of Istio's proto file mean the same as those of its YAML", () => {
  const { config, notes, warnings } = read("trust_domain: east\nmesh_mTLS: {}\naccess_log_file: x");
  assert.deepEqual([config.trustDomain, notes, warnings], ["east", ["accessLogFile", "meshMTLS"], []]);
});

test("mesh networks have no effect, and their author hears of it", () => {
  for (const [meshNetworks, says] of [
    ["networks: { n1: {} }", 1],
    ["networks: [", 1],
    ["", 0],
    [undefined, 0],
  ] as const)
    assert.equal(readMeshConfig(configMap({ mesh: "", meshNetworks })).warnings.length, says, meshNetworks);
});

test("names that programs trip over are names like any other", () => {
  const { warnings } = read("__proto__: { trustDomain: a }\nconstructor: 1\ntoString: 1");
  assert.deepEqual(
    warnings.map(({ field }) => field),
    ["mesh.__proto__", "mesh.constructor", "mesh.toString"],
  );
  assert.equal(({} as { trustDomain?: string }).trustDomain, undefined);
});

test("whatever a ConfigMap holds, it is read or refused with a field", () => {
  const names = ["trustDomain", "rootNamespace", "trustDomainAliases", "caCertificates", "serviceScopeConfigs", "x_y"];
  const value = fc.letrec((tie) => ({
    any: fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.string(), fc.double(), tie("item"), fc.array(tie("item"))),
    item: fc.dictionary(
      fc.constantFrom("pem", "spiffeBundleUrl", "scope", "servicesSelector", "matchLabels", "matchExpressions", "key"),
      tie("any"),
      { maxKeys: 3 },
    ),
  })).any;
  const mesh = fc.oneof(
    fc
      .dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), value, { maxKeys: 4 })
      .map((it) => JSON.stringify(it)),
    fc.string({ unit: fc.constantFrom(..."{}[]:,-&*!|>'\"# \n\tab<?%") }),
    fc.string({ unit: "binary" }),
    fc.jsonValue(),
  );
  const data = fc.oneof(fc.record({ mesh, meshNetworks: mesh }), fc.jsonValue());
  let [good, bad] = [0, 0];
  fc.assert(
    fc.property(data, (data) => {
      try {
        readMeshConfig(configMap(data));
        good++;
      } catch (thrown) {
        assert.ok(thrown instanceof FieldError, String(thrown));
        assert.ok(thrown.field !== "" && thrown.message !== "" && thrown.message.length < 2000);
        bad++;
      }
    }),
    { seed: 29, numRuns: 1000 },
  );
  assert.ok(good > 50 && bad > 500, `${good} read, ${bad} refused`);
});
