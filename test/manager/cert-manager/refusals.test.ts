import assert from "node:assert/strict";
import { test } from "mocha";
import { CERTIFICATE_REQUESTS, CLUSTER_ISSUERS, ISSUERS } from "../../../src/kube/resource-types.ts";
import { CertManagerSigner } from "../../kits/cert-manager-signer.ts";
import { derOf } from "../../kits/tls.ts";
import { issuerLab, order, SPEC } from "./issuer-lab.ts";

const MINUTE_MS = 60_000;
const NAME = /CertificateRequest gloo-mesh\/causeway-east-[0-9a-f]{16}/;

test("a request that an approver denied says so, and is asked anew only once somebody deletes it", async () => {
  const lab = await issuerLab();
  lab.controller.faults.denies = "isCA is not allowed by policy mesh";
  const asked = await order();
  const why = await lab.refusal(lab.sign(asked));
  assert.match(why, NAME);
  assert.match(why, /^denied: .* was denied: isCA is not allowed by policy mesh; .* then delete it/);
  lab.controller.faults.denies = undefined;
  await lab.host.clock.pass(10 * MINUTE_MS);
  assert.match(await lab.refusal(lab.sign(asked)), /^denied: /);
  lab.server.remove(lab.requests()[0]!);
  await lab.host.clock.pass(100);
  await lab.good(lab.sign(asked));
  await lab.close();
});

for (const [fault, words] of [
  ["fails", /^denied: .* has failed: the signer is out of paper; .* within 5 minutes/],
  ["invalid", /^denied: .* is refused by its issuer as invalid: the signer is out of paper; .* within 5 minutes/],
] as const)
  test(`a request that ended (${fault}) is asked anew after five minutes, and not at once`, async () => {
    const lab = await issuerLab();
    lab.controller.faults[fault] = "the signer is out of paper";
    const asked = await order();
    assert.match(await lab.refusal(lab.sign(asked)), words);
    lab.controller.faults[fault] = undefined;
    assert.match(await lab.refusal(lab.sign(asked)), words);
    await lab.host.clock.pass(5 * MINUTE_MS);
    await lab.good(lab.sign(asked));
    assert.equal(lab.requests().length, 1);
    await lab.close();
  });

test("an issuer that is missing, not Ready, or of a kind that makes no authorities is named", async () => {
  const lab = await issuerLab();
  const gone = lab.putIssuer();
  lab.server.remove(gone);
  assert.equal(
    await lab.refusal(lab.roots()),
    "absent: ClusterIssuer gloo-mesh-root does not exist; create it, or mend issuerRef in the policy",
  );
  assert.match(await lab.refusal(lab.sign(await order())), /^absent: /);
  assert.equal(lab.requests().length, 0, "nothing is asked of what is not there");
  const broken = { type: "Ready", status: "False", reason: "ErrGetKeyPair", message: 'secret "root" not found' };
  const trouble: readonly [object | undefined, object, RegExp][] = [
    [undefined, { ca: {} }, /^unavailable: ClusterIssuer gloo-mesh-root is not Ready: cert-manager has not looked/],
    [broken, { ca: {} }, /^unavailable: ClusterIssuer gloo-mesh-root is not Ready: secret "root" not found$/],
    [
      undefined,
      { selfSigned: {} },
      /^invalid: .* is of the kind selfSigned, which signs each certificate with its own/,
    ],
    [undefined, { acme: {} }, /^invalid: .* is of the kind acme, .* never authorities; name one of the kind ca$/],
  ];
  for (const [condition, spec, why] of trouble) {
    lab.server.put({ ...gone, spec, status: { conditions: condition === undefined ? [] : [condition] } });
    await lab.host.clock.pass(100);
    assert.match(await lab.refusal(lab.roots()), why);
  }
  lab.putIssuer();
  await lab.host.clock.pass(100);
  await lab.good(lab.roots());
  await lab.close();
});

test("an Issuer is looked for where the requests are, and a kind that there is not is refused", async () => {
  const lab = await issuerLab({ ...SPEC, issuer: { ...SPEC.issuer, kind: "Issuer" } });
  assert.equal(lab.issuer.title, "cert-manager's Issuer gloo-mesh/gloo-mesh-root");
  await lab.good(lab.roots());
  lab.server.remove(lab.server.get(ISSUERS, "gloo-mesh", "gloo-mesh-root")!);
  await lab.host.clock.pass(100);
  assert.match(await lab.refusal(lab.roots()), /^absent: Issuer gloo-mesh\/gloo-mesh-root does not exist/);
  const odd = lab.another({ ...SPEC, issuer: { ...SPEC.issuer, kind: "Authority" } });
  const why = /^invalid: cert-manager\.io has no kind Authority; set issuerRef\.kind to Issuer or ClusterIssuer$/;
  assert.match(await lab.refusal(odd.roots(lab.signal)), why);
  await lab.outcome(odd.close());
  await lab.close();
});

test("an issuer of another group is asked without being read", async () => {
  const lab = await issuerLab();
  const issuer = { group: "pca.example", kind: "Authority", name: "x" };
  const other = lab.another({ ...SPEC, issuer });
  assert.equal(other.title, "cert-manager's Authority.pca.example x");
  const why = await lab.refusal(other.roots(lab.signal));
  assert.match(why, /^unavailable: CertificateRequest gloo-mesh\/causeway-root-probe-\w+ waits for its issuer/);
  assert.deepEqual(
    lab.server.requests.filter(({ path }) => path.includes("issuers")),
    [],
  );
  await lab.outcome(other.close());
  await lab.close();
});

test("a leaf in place of an authority is refused, and asked anew once what signed it is mended", async () => {
  const lab = await issuerLab();
  lab.controller.faults.signsLeaves = true;
  const asked = await order();
  const leaf = /^denied: .*: ClusterIssuer gloo-mesh-root signed a leaf, though isCA was asked for; with Vault/;
  assert.match(await lab.refusal(lab.sign(asked)), leaf);
  lab.controller.faults.signsLeaves = false;
  assert.match(await lab.refusal(lab.sign(asked)), leaf);
  await lab.host.clock.pass(5 * MINUTE_MS);
  await lab.good(lab.sign(asked));
  await lab.close();
});

test("where the chain ends before a root, the field that has to hold it is named", async () => {
  const lab = await issuerLab();
  const why = /^invalid: .* leads to no root: "CN=[a-z ]+" is the last, which "CN=mesh root" issued\. .*into ca\.crt/;
  const middle = await lab.authority({ name: "CN=middle" }, lab.root);
  lab.controller.signer = new CertManagerSigner(middle);
  assert.match(await lab.refusal(lab.roots()), why);
  assert.match(await lab.refusal(lab.sign(await order())), why);
  lab.controller.signer = new CertManagerSigner(lab.root);
  lab.controller.faults.namesNoCa = true;
  await lab.host.clock.pass(5 * MINUTE_MS);
  assert.match(
    await lab.refusal(lab.roots()),
    /^invalid: .* leads to no root: "O=causeway, CN=root probe" is the last, which "CN=mesh root" issued/,
  );
  await lab.close();
});

test("a request that is deleted before it is issued is made anew when asked again", async () => {
  const lab = await issuerLab();
  lab.controller.faults.deletes = true;
  const asked = await order();
  assert.match(await lab.refusal(lab.sign(asked)), /^unavailable: .* was deleted before it was issued/);
  lab.controller.faults.deletes = false;
  await lab.good(lab.sign(asked));
  await lab.close();
});

test("where cert-manager is not installed that is said, and it is used once it is", async () => {
  const lab = await issuerLab();
  for (const type of [CERTIFICATE_REQUESTS, CLUSTER_ISSUERS, ISSUERS]) lab.server.uninstall(type);
  assert.match(
    await lab.refusal(lab.roots()),
    /^absent: cert-manager is not installed .* serves no kinds of cert-manager\.io; install it there/,
  );
  for (const type of [CERTIFICATE_REQUESTS, CLUSTER_ISSUERS, ISSUERS]) lab.server.install(type);
  lab.putIssuer();
  await lab.host.clock.pass(60_000);
  await lab.good(lab.roots());
  await lab.close();
});

for (const verb of ["create", "list"])
  test(`a role that lacks ${verb} is named with its verb and its resource`, async () => {
    const lab = await issuerLab();
    const lacks = verb === "list" ? ["list", "watch"] : [verb];
    lab.server.faults.forbidden = (tried) =>
      tried.user === "trust" && lacks.includes(tried.verb) && tried.resource === "certificaterequests";
    const why = await lab.refusal(lab.sign(await order()));
    assert.match(
      why,
      /^invalid: .*; set certManager\.enabled of its chart, or apply deploy\/rbac\/trust-cert-manager\.yaml /,
    );
    assert.match(why, new RegExp(`cannot ${verb} resource "certificaterequests" in API group "cert-manager.io"`));
    lab.server.faults.forbidden = undefined;
    await lab.host.clock.pass(60_000);
    await lab.good(lab.roots());
    await lab.close();
  });

test("without the right to delete what is issued is used, and the log says what is left behind", async () => {
  const lab = await issuerLab();
  lab.server.faults.forbidden = ({ user, verb }) => user === "trust" && verb === "delete";
  await lab.good(lab.sign(await order()));
  await lab.host.clock.pass(5_000);
  await lab.good(lab.sign(await order()));
  assert.ok(lab.host.lines.some((line) => /warn ca: .*could not be deleted .*cannot delete resource/.test(line)));
  await lab.close();
});

test("an issuer that may not be read is asked all the same", async () => {
  const lab = await issuerLab();
  lab.server.faults.forbidden = ({ user, resource }) => user === "trust" && resource === "clusterissuers";
  await lab.good(lab.sign(await order()));
  assert.deepEqual(await lab.good(lab.roots()), [derOf(lab.root.root)]);
  await lab.close();
});

test("an API server that is away is waited for no longer than anything else, and used when it is back", async () => {
  const lab = await issuerLab();
  lab.server.faults.down = true;
  assert.match(await lab.refusal(lab.roots()), /^unavailable: .*cannot be read/);
  lab.server.faults.down = false;
  await lab.good(lab.roots());
  await lab.close();
});

test("what somebody else made under the name of a request is not taken for ours", async () => {
  const lab = await issuerLab();
  const asked = await order();
  await lab.good(lab.sign(asked));
  const [mine] = lab.requests();
  const foreign = (labels: Readonly<Record<string, string>>) => ({
    ...mine!,
    metadata: { ...mine!.metadata, labels },
    spec: { ...(mine!["spec"] as object), request: "b3RoZXI=" },
  });
  lab.server.put(foreign(mine!.metadata.labels!));
  await lab.host.clock.pass(100);
  assert.match(await lab.refusal(lab.sign(asked)), /^invalid: .* asks for another key than the cluster's; delete it/);
  lab.server.put(foreign({}));
  await lab.host.clock.pass(100);
  assert.match(
    await lab.refusal(lab.sign(asked)),
    /^unavailable: .* is not among those with the label trust\.causeway\.dev\/purpose; if somebody else made it/,
  );
  await lab.close();
});
