import fc from "fast-check";
import { KEY_TYPES } from "../../src/ca/key-type.ts";
import type { ErrorCode } from "../../src/errors.ts";
import { clusterId } from "../../src/names.ts";
import type {
  Bound,
  ClusterMessage,
  ClusterReport,
  IntermediateShape,
  ManagerMessage,
  Order,
  RelayedScope,
} from "../../src/relay/messages.ts";

/** Every message that may be sent, of certificates and requests that are given. */
export function relayMessages(certificates: readonly Uint8Array[], csrs: readonly string[]) {
  const certificate = fc.constantFrom(...certificates);
  const cluster = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?$/).map(clusterId);
  const word = fc.stringMatching(/^[!-~]{1,40}$/);
  const sentence = fc.stringMatching(/^[ -~äß]{0,80}$/);
  const clock = fc.integer({ min: 0, max: 253_402_300_799_000 });
  const fingerprint = fc.option(fc.stringMatching(/^[0-9a-f]{64}$/), { nil: undefined });
  const sentences = fc.array(sentence, { maxLength: 5 });
  const scope: fc.Arbitrary<RelayedScope> = fc.record({
    namespaces: fc.array(word, { maxLength: 4 }),
    services: fc.option(fc.array(word, { maxLength: 4 }), { nil: undefined }),
  });
  const bound: fc.Arbitrary<Bound> = fc.record({
    cluster: fc.option(cluster, { nil: undefined }),
    exports: fc.array(scope, { maxLength: 3 }),
    imports: fc.array(scope, { maxLength: 3 }),
  });
  const shape: fc.Arbitrary<IntermediateShape> = fc.record({
    organization: fc.stringMatching(/^[a-z .äß-]{1,64}$/),
    commonName: fc.stringMatching(/^[A-Za-z ]{1,64}$/),
    pathLength: fc.nat(127),
    lifetimeMs: fc.integer({ min: 1_000, max: 3_153_600_000_000 }),
    keyType: fc.constantFrom(...KEY_TYPES),
    graceRatio: fc.double({ min: 0.0001, max: 0.9999, noNaN: true }),
  });
  const order: fc.Arbitrary<Order> = fc.record({
    generation: word,
    trustDomain: fc.stringMatching(/^[a-z0-9._-]{1,40}$/),
    intermediate: shape,
    roots: fc.array(certificate, { minLength: 1, maxLength: 4 }),
    signingRoot: fingerprint,
    autoRestartPods: fc.boolean(),
    bounds: fc.option(fc.array(bound, { maxLength: 4 }), { nil: undefined }),
  });
  const report: fc.Arbitrary<ClusterReport> = fc.record({
    generation: fc.oneof(word, fc.constant("")),
    roots: fc.array(certificate, { maxLength: 4 }),
    chain: fc.array(certificate, { maxLength: 3 }),
    signingRoot: fingerprint,
    rootWaitMs: fc.integer({ min: 0, max: 3_153_600_000_000 }),
    waits: sentences,
    problems: sentences,
    restarts: sentences,
    clock,
    version: sentence,
  });
  const codes: readonly ErrorCode[] = ["invalid", "denied", "unavailable", "exhausted", "internal"];
  const ofCluster: fc.Arbitrary<ClusterMessage> = fc.oneof(
    fc.record({ kind: fc.constant("hello" as const), hello: fc.record({ cluster, version: sentence, clock }) }),
    fc.record({
      kind: fc.constant("request" as const),
      request: fc.record({ id: word, csr: fc.constantFrom(...csrs), generation: word }),
    }),
    fc.record({ kind: fc.constant("report" as const), report }),
    fc.record({ kind: fc.constant("ping" as const), clock }),
  );
  const ofManager: fc.Arbitrary<ManagerMessage> = fc.oneof(
    fc.record({ kind: fc.constant("order" as const), order }),
    fc.record({
      kind: fc.constant("certificate" as const),
      id: word,
      signed: fc.record({ chain: fc.array(certificate, { minLength: 1, maxLength: 3 }), root: certificate }),
    }),
    fc.record({
      kind: fc.constant("refusal" as const),
      id: fc.oneof(word, fc.constant("")),
      code: fc.constantFrom(...codes),
      reason: sentence,
      retryAfterMs: fc.nat(86_400_000),
    }),
    fc.record({ kind: fc.constant("ping" as const), clock }),
  );
  return { ofCluster, ofManager, order, report, cluster };
}
