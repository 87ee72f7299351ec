package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// What a pod has on this machine is said by its annotations.
const (
	portAnnotation = "kubeapi.causeway.dev/port." // + a port of the pod: the address on this machine
	execAnnotation = "kubeapi.causeway.dev/exec." // + a container: {"program": ["/bin/what", "it", "is"]}
	logAnnotation  = "kubeapi.causeway.dev/log."  // + a container: a file
)

// runs is a container of a pod as its node has it: processes of this machine, which the pod's
// annotations name. What streams to and from it is the code of real kubelets: see streams.go.
type runs struct {
	pod       *corev1.Pod
	container string
}

// PortForward is a portforward.PortForwarder.
func (r runs) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	address, err := r.address(port)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	// Whichever side ends first ends both, as a container runtime does it after a moment for what is under way.
	heard, sent := make(chan error, 1), make(chan error, 1)
	go func() { _, err := io.Copy(stream, conn); heard <- err }()
	go func() {
		_, err := io.Copy(conn, stream)
		_ = conn.(*net.TCPConn).CloseWrite()
		sent <- err
	}()
	select {
	case err = <-heard:
	case err = <-sent:
		select {
		case err = <-heard:
		case <-time.After(time.Second):
		}
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// address is where a port of the pod is on this machine: on loopback only.
func (r runs) address(port int32) (netip.AddrPort, error) {
	name := fmt.Sprintf("%s%d", portAnnotation, port)
	text, ok := r.pod.Annotations[name]
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("connection refused: nothing listens on port %d of pod %s (it has no annotation %s)", port, r.pod.Name, name)
	}
	address, err := netip.ParseAddrPort(text)
	if err == nil && !address.Addr().IsLoopback() {
		err = errors.New("it is not on loopback")
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("annotation %s is %q: %w", name, text, err)
	}
	return address, nil
}

// ExecInContainer is a remotecommand.Executor. There are no terminals: what asks for one gets pipes.
func (r runs) ExecInContainer(ctx context.Context, _, _, _ string, argv []string, in io.Reader, out, errs io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	program, err := r.program(argv)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program[0], program[1:]...)
	// Of a program that has ended, the client's input is not waited for.
	cmd.Stdin, cmd.WaitDelay = in, time.Second
	if out != nil {
		cmd.Stdout = out
	}
	if errs != nil {
		cmd.Stderr = errs
	}
	err = cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return utilexec.CodeExitError{Err: fmt.Errorf("exit status %d", ended.ExitCode()), Code: ended.ExitCode()}
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

// program is what argv means in the container.
func (r runs) program(argv []string) ([]string, error) {
	programs := map[string][]string{}
	name := execAnnotation + r.container
	if text, ok := r.pod.Annotations[name]; ok {
		if err := json.Unmarshal([]byte(text), &programs); err != nil {
			return nil, fmt.Errorf("annotation %s is no map of programs: %w", name, err)
		}
	}
	if len(argv) == 0 || len(programs[argv[0]]) == 0 {
		return nil, fmt.Errorf("exec: %q: executable file not found in $PATH (annotation %s does not name it)", argv, name)
	}
	return append(programs[argv[0]], argv[1:]...), nil
}

// log opens what the container wrote.
func (r runs) log() (*os.File, error) {
	path, ok := r.pod.Annotations[logAnnotation+r.container]
	if !ok {
		return nil, fmt.Errorf("container %q in pod %q has written nothing: there is no annotation %s", r.container, r.pod.Name, logAnnotation+r.container)
	}
	return os.Open(path)
}
