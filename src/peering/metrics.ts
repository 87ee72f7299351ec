import type { Gauge, Metrics } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { PeerReason } from "../registry/model/peer.ts";
import { ADDRESS_TYPE, FSDS_TYPE, SGDS_TYPE, type TypeUrl } from "../xds/resource.ts";
import type { DenialReason } from "./rules.ts";

/** The product's buckets, so that its dashboards show them (contract peering.md C30). */
const CONVERGENCE_BUCKETS = [0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30];
const SIZE_BUCKETS = [1e2, 1e3, 1e4, 1e5, 1e6, 4e6, 1e7, 4e7, 1e8];
const SHORT_NAMES = new Map<string, string>([
  [FSDS_TYPE, "FSDS"],
  [SGDS_TYPE, "SGDS"],
  [ADDRESS_TYPE, "WDS"],
]);

/** `imported` are those that a peer shares with us, `exported` those that it may read here. */
export const servicesGauge = (metrics: Metrics): Gauge =>
  metrics.gauge("peer_services", "Services by peer and direction.", ["source", "peer", "direction"]);

/** What is counted of links, under the names of contract peering.md 2.15; one for each control plane. */
export class PeeringMetrics {
  readonly #source: ClusterId;
  readonly #state;
  readonly #convergence;
  readonly #size;
  readonly #age;
  readonly #services;
  readonly #reconnects;
  readonly #denied;
  readonly #propagation;
  readonly #lag;
  readonly #lagEvents;
  readonly #staleServices;
  readonly #mismatches;
  readonly #skew;
  readonly #untaken;

  /** @param source our own cluster. */
  constructor(metrics: Metrics, source: ClusterId) {
    const link = ["source", "peer"];
    this.#source = source;
    this.#state = metrics.gauge("peer_connection_state", "1 while a peer's control plane is connected, else 0.", link);
    this.#convergence = metrics.histogram(
      "peer_convergence_time",
      "Seconds from a request to a peer, or a change that came unasked, until it was answered.",
      CONVERGENCE_BUCKETS,
      [...link, "type", "success"],
    );
    this.#size = metrics.histogram("peer_xds_config_size_bytes", "Sizes of responses of peers.", SIZE_BUCKETS, [
      ...link,
      "type",
    ]);
    this.#age = metrics.gauge(
      "peer_snapshot_age_seconds",
      "For how long a peer has not confirmed what is held of it.",
      link,
    );
    this.#services = servicesGauge(metrics);
    this.#reconnects = metrics.counter("peer_reconnects_total", "Streams to peers that ended, or never began.", [
      ...link,
      "reason",
    ]);
    this.#denied = metrics.counter("peer_denied_total", "Records of peers that were not taken.", [...link, "reason"]);
    this.#propagation = metrics.histogram(
      "peer_end_to_end_propagation_seconds",
      "From a change at its exporter until ztunnels here had acknowledged it.",
      CONVERGENCE_BUCKETS,
      link,
    );
    this.#lag = metrics.gauge(
      "peer_lag_seconds",
      "How old the oldest change of a peer is that clients here do not have yet, or may not have.",
      link,
    );
    this.#lagEvents = metrics.gauge(
      "peer_lag_events",
      "Changes of a peer's services that not all clients here have acknowledged.",
      link,
    );
    this.#staleServices = metrics.gauge(
      "peer_stale_services",
      "Services held of a peer that nobody confirms now.",
      link,
    );
    this.#skew = metrics.gauge(
      "peer_clock_skew_seconds",
      "How far the clock of a peer is behind ours, with the time that its word was under way.",
      link,
    );
    this.#untaken = metrics.gauge("peer_records_denied", "Records of a peer that are not taken now.", link);
    this.#mismatches = metrics.counter(
      "peer_digest_mismatch_total",
      "States of a peer, just said in whole, that are not what is held of it.",
      link,
    );
  }

  of(peer: ClusterId): LinkMetrics {
    return new LinkMetrics(peer, this.#source, {
      state: this.#state,
      convergence: this.#convergence,
      size: this.#size,
      age: this.#age,
      services: this.#services,
      reconnects: this.#reconnects,
      denied: this.#denied,
      propagation: this.#propagation,
      lag: this.#lag,
      lagEvents: this.#lagEvents,
      staleServices: this.#staleServices,
      mismatches: this.#mismatches,
      skew: this.#skew,
      untaken: this.#untaken,
    });
  }
}

interface Instruments {
  readonly state: ReturnType<Metrics["gauge"]>;
  readonly convergence: ReturnType<Metrics["histogram"]>;
  readonly size: ReturnType<Metrics["histogram"]>;
  readonly age: ReturnType<Metrics["gauge"]>;
  readonly services: ReturnType<Metrics["gauge"]>;
  readonly reconnects: ReturnType<Metrics["counter"]>;
  readonly denied: ReturnType<Metrics["counter"]>;
  readonly propagation: ReturnType<Metrics["histogram"]>;
  readonly lag: ReturnType<Metrics["gauge"]>;
  readonly lagEvents: ReturnType<Metrics["gauge"]>;
  readonly staleServices: ReturnType<Metrics["gauge"]>;
  readonly mismatches: ReturnType<Metrics["counter"]>;
  readonly skew: ReturnType<Metrics["gauge"]>;
  readonly untaken: ReturnType<Metrics["gauge"]>;
}

type GaugeName = "state" | "age" | "services" | "lag" | "lagEvents" | "staleServices" | "skew" | "untaken";

/** Of one peer; what was counted of one that left is forgotten. */
export class LinkMetrics {
  readonly #link: { readonly source: string; readonly peer: string };
  readonly #to: Instruments;
  /** Series that were touched, to be removed. */
  readonly #series = new Map<string, () => void>();

  constructor(peer: ClusterId, source: ClusterId, to: Instruments) {
    this.#link = { source, peer };
    this.#to = to;
    this.connected(false);
    this.lag(0, 0);
    this.staleServices(0);
    this.untaken(0);
    // The first one is an alert: a series that begins with 1 has not grown.
    this.#count("mismatches", {}, 0);
  }

  connected(is: boolean): void {
    this.#gauge("state", {}, is ? 1 : 0);
  }
  age(seconds: number): void {
    this.#gauge("age", {}, seconds);
  }
  /** @param events changes that not all clients have, the first of them `seconds` old. */
  lag(seconds: number, events: number): void {
    this.#gauge("lag", {}, seconds);
    this.#gauge("lagEvents", {}, events);
  }
  staleServices(count: number): void {
    this.#gauge("staleServices", {}, count);
  }
  clockSkew(seconds: number): void {
    this.#gauge("skew", {}, seconds);
  }
  /** How many records are not taken as things are. */
  untaken(records: number): void {
    this.#gauge("untaken", {}, records);
  }
  digestMismatch(): void {
    this.#count("mismatches", {});
  }
  /** How many the peer shares with us. */
  services(imported: number): void {
    this.#gauge("services", { direction: "imported" }, imported);
  }
  received(typeUrl: TypeUrl, bytes: number): void {
    this.#observe("size", { type: shortName(typeUrl) }, bytes);
  }
  answered(typeUrl: TypeUrl, seconds: number, success: boolean): void {
    this.#observe("convergence", { type: shortName(typeUrl), success: String(success) }, seconds);
  }
  reconnects(reason: PeerReason): void {
    this.#count("reconnects", { reason });
  }
  denied(reason: DenialReason): void {
    this.#count("denied", { reason });
  }
  propagated(seconds: number): void {
    this.#observe("propagation", {}, seconds);
  }

  clear(): void {
    for (const remove of this.#series.values()) remove();
    this.#series.clear();
  }

  #gauge(name: GaugeName, more: Readonly<Record<string, string>>, value: number): void {
    const labels = { ...this.#link, ...more };
    this.#to[name].set(value, labels);
    this.#series.set(`${name} ${Object.values(more).join()}`, () => this.#to[name].remove(labels));
  }

  #count(name: "reconnects" | "denied" | "mismatches", more: Readonly<Record<string, string>>, by = 1): void {
    const labels = { ...this.#link, ...more };
    this.#to[name].add(by, labels);
    this.#series.set(`${name} ${Object.values(more).join()}`, () => this.#to[name].remove(labels));
  }

  #observe(name: "size" | "convergence" | "propagation", more: Readonly<Record<string, string>>, value: number): void {
    const labels = { ...this.#link, ...more };
    this.#to[name].observe(value, labels);
    this.#series.set(`${name} ${Object.values(more).join()}`, () => this.#to[name].remove(labels));
  }
}

const shortName = (typeUrl: TypeUrl): string => SHORT_NAMES.get(typeUrl) ?? "other";
