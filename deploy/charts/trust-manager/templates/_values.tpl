{{/*
What every template begins with. It makes
  .v         the values
  .env       the variables of the manager, name to value
  .grants    the files of deploy/rbac that what is turned on needs
*/}}
{{- define "trust.init" -}}
{{- if not (hasKey . "v") -}}
{{- $_ := set . "v" .Values -}}
{{- include "trust.refuse" . -}}
{{- $_ := set . "env" (include "trust.env" . | fromYaml) -}}
{{- $_ := set . "grants" (ternary (list "trust-manager" "trust-cert-manager") (list "trust-manager") .v.certManager.enabled) -}}
{{- end -}}
{{- end -}}

{{/* Of the account, too, as roles of Vault bind it; and in the relay's certificate. */}}
{{- define "trust.name" -}}causeway-trust{{- end -}}

{{- define "trust.selector" -}}
app: causeway-trust
{{- end -}}

{{- define "trust.labels" -}}
{{ include "trust.selector" . }}
app.kubernetes.io/name: causeway-trust
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: causeway
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "trust.env" -}}
{{- $env := dict -}}
{{- with include "causeway.heapMiB" (dict "resources" .v.resources "heapPercent" .v.heapPercent) }}{{ $_ := set $env "NODE_OPTIONS" (printf "--max-old-space-size=%s" .) }}{{ end -}}
{{- range $name, $value := .v.env }}{{ $_ := set $env $name (include "causeway.text" $value) }}{{ end -}}
{{- toYaml $env -}}
{{- end -}}

{{/* What would not do what it says. Each says which value, what is so instead, and what to do. */}}
{{- define "trust.refuse" -}}
{{- $no := list -}}
{{- range $name := list "POD_NAME" "POD_NAMESPACE" "KUBECONFIG" -}}
{{- if hasKey $.v.env $name -}}
{{- $no = append $no (printf "env.%s: the chart sets it from what the pod is; leave it out" $name) -}}
{{- end -}}
{{- end -}}
{{- range $secret := .v.secrets -}}
{{- if eq $secret.namespace $.Release.Namespace -}}
{{- $no = append $no (printf "secrets: %s is in %s, the release's own namespace, where Secrets may be read; leave it out" $secret.name $secret.namespace) -}}
{{- end -}}
{{- end -}}
{{- $service := .v.relay.service -}}
{{- if eq $service.type "ClusterIP" -}}
{{- range $key := list "nodePort" "loadBalancerClass" "loadBalancerSourceRanges" "externalTrafficPolicy" -}}
{{- if get $service $key -}}
{{- $no = append $no (printf "relay.service.%s: a Service of type ClusterIP has none; set relay.service.type to LoadBalancer or NodePort, or leave it out" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $no -}}
{{- fail (printf "\n\ntrust-manager does not take these values:\n  - %s\n" (join "\n  - " $no)) -}}
{{- end -}}
{{- end -}}
