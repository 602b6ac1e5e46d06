// Counters, gauges and histograms, and the Prometheus text form of them all.
//
// A component takes a Registry& in its constructor, asks for its families once and keeps the
// references: they live as long as the Registry. Writing is a relaxed atomic add, from any thread;
// finding a series by its labels takes a lock, so keep what you find where it is hot.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::obs {

class Counter final {
 public:
  void add(std::uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge final {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Counts observations by upper bound. A reader may see an observation in its bucket and not yet in
// the sum.
class Histogram final {
 public:
  explicit Histogram(std::span<const double> bounds);

  void observe(double value);

  std::uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  const std::vector<double>& bounds() const { return bounds_; }
  // Of bounds()[i], not of the ones below it; i == bounds().size() counts what is above all.
  std::uint64_t bucket(std::size_t i) const { return buckets_[i].load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::vector<std::atomic<std::uint64_t>> buckets_;
  std::atomic<double> sum_{0};
};

// Upper bounds in seconds for request durations: 0.1 ms to 10 s.
std::span<const double> duration_bounds_s();

// All series of one name. Label values are given in the order of the label names.
template <class Metric>
class Family final {
 public:
  // Further label values share one series whose values are all "other".
  static constexpr std::size_t series_max = 10000;
  using LabelValues = std::vector<std::string>;

  Family(std::string name, std::string help, std::vector<std::string> label_names,
         std::vector<double> bounds)
      : name_(std::move(name)),
        help_(std::move(help)),
        label_names_(std::move(label_names)),
        bounds_(std::move(bounds)) {}

  // The series with these values, made on first use. REQUIRES: one value for each label name.
  Metric& with(const LabelValues& values = {});

  // Appends the family in the Prometheus text format 0.0.4.
  void write(std::string& out) const;

  const std::string& name() const { return name_; }
  const std::vector<std::string>& label_names() const { return label_names_; }

 private:
  std::string name_;
  std::string help_;
  std::vector<std::string> label_names_;
  std::vector<double> bounds_;  // of histograms
  mutable std::mutex mutex_;
  std::map<LabelValues, std::unique_ptr<Metric>> series_;
};

extern template class Family<Counter>;
extern template class Family<Gauge>;
extern template class Family<Histogram>;

// Name and meaning of a family. Names follow Prometheus: tulle_requests_total, *_seconds, *_bytes.
struct MetricInfo {
  std::string name = {};
  std::string help = {};
  std::vector<std::string> labels = {};
};

class Registry final {
 public:
  Registry() = default;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The family of this name, made on first use. REQUIRES: the same labels each time, and a name
  // that no family of another type has.
  Family<Counter>& counter(const MetricInfo& info);
  Family<Gauge>& gauge(const MetricInfo& info);
  Family<Histogram>& histogram(const MetricInfo& info,
                               std::span<const double> bounds = duration_bounds_s());

  // Everything, ordered by type and name, in the Prometheus text format 0.0.4.
  std::string exposition() const;

 private:
  template <class Metric>
  using Families = std::map<std::string, std::unique_ptr<Family<Metric>>>;

  template <class Metric>
  Family<Metric>& find_or_make(Families<Metric>& families, const MetricInfo& info,
                               std::span<const double> bounds);

  mutable std::mutex mutex_;
  Families<Counter> counters_;
  Families<Gauge> gauges_;
  Families<Histogram> histograms_;
};

}  // namespace tulle::obs
