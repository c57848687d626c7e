"""Ask a model about images, folders and tables.

python tools/predict.py ask IMAGES "QUESTION" [--model CHECKPOINT] [--out answers.jsonl]
python tools/predict.py caption IMAGES --model CHECKPOINT [--out captions.jsonl]
python tools/predict.py features IMAGES --out features.npy [--model CHECKPOINT]
"""

from soho.apis.commands import main

if __name__ == '__main__':
    main()
