/// A real kube-apiserver on this machine, and the parts that KubeVirt would play on it.
public enum KubeLab {}
