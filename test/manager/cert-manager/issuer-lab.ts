import { createPublicKey } from "node:crypto";
import { newAuthorityRequest } from "../../../src/ca/authority-request.ts";
import type { SignedIntermediate } from "../../../src/relay/messages.ts";
import { CertManagerIssuer } from "../../../src/manager/cert-manager/cert-manager-issuer.ts";
import type { CertManagerSpec } from "../../../src/manager/cert-manager/wanted-request.ts";
import { MeshError } from "../../../src/errors.ts";
import { CERTIFICATE_REQUESTS } from "../../../src/kube/resource-types.ts";
import type { IntermediateOrder } from "../../../src/manager/issuer.ts";
import { clusterId } from "../../../src/names.ts";
import { CertManagerController, inFake } from "../../kits/cert-manager-controller.ts";
import { CertManagerSigner } from "../../kits/cert-manager-signer.ts";
import { FakeApiServer } from "../../kits/fake-api-server.ts";
import { TestHost } from "../../kits/test-host.ts";
import { type AuthorityShape, TestAuthority } from "../../kits/tls.ts";
import { nextTurn } from "../../kits/until.ts";

const DAY_MS = 86_400_000;
export const LIFETIME_MS = 90 * DAY_MS;

export const SPEC: CertManagerSpec = {
  kind: "cert-manager",
  issuer: { group: "cert-manager.io", kind: "ClusterIssuer", name: "gloo-mesh-root" },
  namespace: "gloo-mesh",
};

export const READY = { type: "Ready", status: "True", reason: "KeyPairVerified", message: "Signing CA verified" };

/** An issuer of ours, and a cert-manager that has a ClusterIssuer, on a virtual clock and a fake API server. */
export async function issuerLab(spec: CertManagerSpec = SPEC) {
  const host = new TestHost();
  const server = new FakeApiServer(host.clock);
  const authority = (shape: AuthorityShape, above?: TestAuthority): Promise<TestAuthority> => {
    const life = { notBeforeMs: host.clock.now() - DAY_MS, notAfterMs: host.clock.now() + 3650 * DAY_MS };
    return TestAuthority.create({ ...life, ...shape }, above);
  };
  const root = await authority({ name: "CN=mesh root" });
  const controller = new CertManagerController(new CertManagerSigner(root), inFake(server), host.clock);
  const issuer = new CertManagerIssuer(host, server.connect("trust"), spec);

  /** What a promise comes to. Keys are made and used on other threads, so time passes by turns of the event loop. */
  const outcome = async <T>(promise: Promise<T>): Promise<T | MeshError> => {
    let settled = false;
    const done = promise
      .catch((thrown: unknown) => {
        if (thrown instanceof MeshError) return thrown;
        throw thrown;
      })
      .finally(() => (settled = true));
    for (let turns = 0; !settled; turns += 1) {
      if (!controller.busy) await host.clock.pass(turns < 100 ? 10 : 250);
      await nextTurn();
    }
    return done;
  };
  const lab = {
    host,
    server,
    controller,
    issuer,
    root,
    authority,
    outcome,
    signal: new AbortController().signal,
    putIssuer: (condition: object | undefined = READY, of: object = { ca: { secretName: "root" } }) =>
      server.put({
        apiVersion: "cert-manager.io/v1",
        kind: spec.issuer.kind,
        metadata: {
          name: spec.issuer.name,
          ...(spec.issuer.kind === "Issuer" && { namespace: spec.namespace }),
        },
        spec: of,
        ...(condition && { status: { conditions: [condition] } }),
      }),
    requests: () => server.list(CERTIFICATE_REQUESTS),
    /** What the issuer says, which is no refusal. */
    good: async <T>(promise: Promise<T>): Promise<T> => {
      const value = await outcome(promise);
      if (value instanceof MeshError) throw value;
      return value;
    },
    /** Its refusal, as `denied: …`. */
    refusal: async (promise: Promise<unknown>): Promise<string> => {
      const value = await outcome(promise);
      return value instanceof MeshError ? `${value.code}: ${value.message}` : `it was no refusal`;
    },
    /** The same in another process. */
    another: (of: CertManagerSpec = spec) => new CertManagerIssuer(host, server.connect("trust"), of),
    roots: () => issuer.roots(lab.signal),
    sign: (order: IntermediateOrder): Promise<SignedIntermediate> => issuer.sign(order, lab.signal),
    close: async () => {
      controller.close();
      await outcome(issuer.close());
    },
  };
  lab.putIssuer();
  return lab;
}

/** What a cluster asks for, with a new key. */
export async function order(cluster = "east", lifetimeMs = LIFETIME_MS): Promise<IntermediateOrder> {
  const shape = { organization: "mesh", commonName: cluster, trustDomain: "mesh.example", pathLength: 0 } as const;
  const { csr, privateKey } = await newAuthorityRequest({ ...shape, keyType: "ec-p256" });
  const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return { ...shape, cluster: clusterId(cluster), lifetimeMs, keyType: "ec-p256", csr, publicKey };
}
