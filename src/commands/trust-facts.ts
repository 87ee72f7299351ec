import { X509Certificate } from "node:crypto";
import { fingerprintOf } from "../ca/issued-list.ts";
import { PeerTrust } from "../ca/peer-trust.ts";
import type { EpochMs } from "../host.ts";
import type { TrustView } from "../manager/view.ts";
import type { RelayView } from "../relay/relay-view.ts";

/** What was found out before anything is judged; `why` says what could not be. */
export interface TrustFacts {
  readonly now: EpochMs;
  readonly planes: readonly PlaneFacts[];
  readonly gateways: readonly GatewayFacts[];
  /** Undefined if nobody named one. */
  readonly manager: ManagerFacts | undefined;
}

export type PlaneFacts = { readonly where: string } & ({ readonly relay: RelayView } | { readonly why: string });
export type ManagerFacts = { readonly where: string } & ({ readonly view: TrustView } | { readonly why: string });

/** What a gateway presented, in DER, its own first; empty if it ended the handshake before it presented anything. */
export type GatewayFacts = { readonly address: string } & (
  { readonly shown: readonly Uint8Array[]; readonly asked: boolean } | { readonly why: string }
);

/** A cluster that signs with something. */
export interface Signing {
  readonly object: string;
  readonly relay: RelayView;
  readonly chain: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
}

export function signingOf({ planes }: TrustFacts): readonly Signing[] {
  return planes.flatMap((plane) => {
    if (!("relay" in plane) || plane.relay.authority === undefined) return [];
    const { chain, roots } = plane.relay.authority;
    return [
      { object: objectOf(plane.relay), relay: plane.relay, chain: chain.map(bytesOf), roots: roots.map(bytesOf) },
    ];
  });
}

export const objectOf = ({ cluster }: RelayView): string => `cluster ${cluster}`;
const bytesOf = (base64: string): Uint8Array => Buffer.from(base64, "base64");

/** Why no way leads from a chain to one of the roots; undefined if one does. */
export const whyNotUnder = (chain: readonly Uint8Array[], roots: readonly Uint8Array[]): string | undefined =>
  new PeerTrust({ chain: [], roots, revocations: [] }).whyNot(chain);

/** The root of those given to which a chain leads. */
export const rootAbove = (chain: readonly Uint8Array[], roots: readonly Uint8Array[]): Uint8Array | undefined =>
  roots.find((root) => whyNotUnder(chain, [root]) === undefined);

export const subjectOf = (der: Uint8Array): string => oneLine(new X509Certificate(der).subject as string | undefined);
export const issuerOf = (der: Uint8Array): string => oneLine(new X509Certificate(der).issuer);
const oneLine = (name: string | undefined): string => `"${(name ?? "").replace(/\n/g, ", ")}"`;
export const shortOf = (der: Uint8Array): string => fingerprintOf(der).slice(0, 8);
