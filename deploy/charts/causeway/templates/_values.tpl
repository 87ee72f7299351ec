{{/*
What every template begins with. It makes
  .v         the values, with what stands under `pilot` laid over them
  .rev       the revision, empty for the default one
  .env       the variables of the control plane, name to value
  .grants    the files of deploy/rbac that what is turned on needs
*/}}
{{- define "causeway.init" -}}
{{- if not (hasKey . "v") -}}
{{- $_ := set . "v" (mergeOverwrite (omit (deepCopy .Values) "pilot") (deepCopy (.Values.pilot | default dict))) -}}
{{- $_ := set . "rev" (ternary "" (.v.revision | default "") (eq (.v.revision | default "") "default")) -}}
{{- include "causeway.refuse" . -}}
{{- $_ := set . "env" (include "causeway.env" . | fromYaml) -}}
{{- $_ := set . "grants" (include "causeway.grants" . | fromYamlArray) -}}
{{- end -}}
{{- end -}}

{{- define "causeway.name" -}}
istiod{{ with .rev }}-{{ . }}{{ end }}
{{- end -}}

{{- define "causeway.labels" -}}
app: istiod
istio: pilot
istio.io/rev: {{ .rev | default "default" | quote }}
release: {{ .Release.Name }}
app.kubernetes.io/name: istiod
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* As istiod's, which nobody can change on a Deployment that is there. */}}
{{- define "causeway.selector" -}}
{{- if .rev -}}
app: istiod
istio.io/rev: {{ .rev | quote }}
{{- else -}}
istio: pilot
{{- end -}}
{{- end -}}

{{/* A variable that is set and is neither false nor 0. */}}
{{- define "causeway.on" -}}
{{- if not (has (lower (toString .)) (list "" "false" "f" "0" "off")) }}true{{ end -}}
{{- end -}}

{{/* What values say in variables. Whoever sets a variable means it: `env` wins. */}}
{{- define "causeway.env" -}}
{{- $c := .v.causeway -}}
{{- $spire := $c.spire -}}
{{- $env := dict
  "CLUSTER_ID" (.v.global.multiCluster.clusterName | default "Kubernetes")
  "PILOT_CERT_PROVIDER" "istiod"
  "CA_TRUSTED_NODE_ACCOUNTS" (printf "%s/%s" (.v.trustedZtunnelNamespace | default .Release.Namespace) (.v.trustedZtunnelName | default "ztunnel"))
  "ENABLE_PEERING_DISCOVERY" (toString .v.platforms.peering.enabled)
  "PEERING_KUBERNETES_OBJECTS" (toString $c.peeringObjects)
  "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER" (toString $c.gatewayController)
  "ENABLE_CLUSTER_TRUST_BUNDLE_API" (toString $c.clusterTrustBundle)
  "GATEWAY_IMAGE" (include "causeway.image" .)
-}}
{{- with .v.global.imagePullPolicy }}{{ $_ := set $env "GATEWAY_IMAGE_PULL_POLICY" . }}{{ end -}}
{{- with .v.global.network }}{{ $_ := set $env "NETWORK" . }}{{ end -}}
{{- with .v.global.trustBundleName }}{{ $_ := set $env "PILOT_CA_CERT_CONFIGMAP" . }}{{ end -}}
{{- with .v.crlConfigMapName }}{{ $_ := set $env "PILOT_CRL_CONFIGMAP" . }}{{ end -}}
{{- with $c.trustManager }}{{ $_ := set $env "TRUST_MANAGER_ADDRESS" . }}{{ end -}}
{{- if ne $c.identity "mesh" }}{{ $_ := set $env "WORKLOAD_IDENTITY" $c.identity }}{{ end -}}
{{- with $spire.server }}{{ $_ := set $env "SPIRE_SERVER_ADDRESS" . }}{{ end -}}
{{- with $spire.cluster }}{{ $_ := set $env "SPIRE_CLUSTER" . }}{{ end -}}
{{- if $spire.agent }}{{ $_ := set $env "SPIFFE_ENDPOINT_SOCKET" "unix:///run/spire/agent-sockets/spire-agent.sock" }}{{ end -}}
{{- /* YAML reads `on` and `off` without quotes as truths. */ -}}
{{- $register := get (dict "true" "on" "false" "off") (toString $spire.register) | default (toString $spire.register) -}}
{{- if ne $register "off" }}{{ $_ := set $env "SPIRE_REGISTER" $register }}{{ end -}}
{{- if .v.gateways.spire.workloads }}{{ $_ := set $env "GATEWAYS_SPIRE_WORKLOADS" "true" }}{{ end -}}
{{- with include "causeway.heapMiB" (dict "resources" .v.resources "heapPercent" $c.heapPercent) }}{{ $_ := set $env "NODE_OPTIONS" (printf "--max-old-space-size=%s" .) }}{{ end -}}
{{- range $name, $value := .v.env }}{{ $_ := set $env $name (include "causeway.text" $value) }}{{ end -}}
{{- toYaml $env -}}
{{- end -}}

{{/* Files of deploy/rbac, by name: no feature, no rights. */}}
{{- define "causeway.grants" -}}
{{- $env := .env -}}
{{- $grants := list "causeway" -}}
{{- if include "causeway.on" $env.PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER }}{{ $grants = append $grants "gateways" }}{{ end -}}
{{- if and (include "causeway.on" $env.ENABLE_PEERING_DISCOVERY) (include "causeway.on" $env.PEERING_KUBERNETES_OBJECTS) }}
{{- $grants = append $grants "peering" -}}
{{- if eq $env.PEERING_KUBERNETES_OBJECTS "full" }}{{ $grants = append $grants "peering-workload-entries" }}{{ end -}}
{{- end -}}
{{- if include "causeway.on" $env.ENABLE_CLUSTER_TRUST_BUNDLE_API }}{{ $grants = append $grants "cluster-trust-bundle" }}{{ end -}}
{{- if or (ne ($env.WORKLOAD_IDENTITY | default "mesh") "mesh") (include "causeway.on" ($env.SPIRE_REGISTER | default "off")) }}
{{- $grants = append $grants "spire" -}}
{{- end -}}
{{- if $env.TRUST_MANAGER_ADDRESS }}{{ $grants = append $grants "trust-relay" }}{{ end -}}
{{- toYaml (concat $grants .v.causeway.alsoGrant | uniq) -}}
{{- end -}}
